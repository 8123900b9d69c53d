//! What an application may do with the types.

use mlxengine::{InferenceEngine, Load, LoadProgressStream};

#[test]
fn engines_loads_and_futures_cross_threads() {
    fn sendable<T: Send + 'static>() {}
    fn shareable<T: Send + Sync + Clone + Unpin + 'static>() {}
    fn value_is_sendable<T: Send + 'static>(_: impl Fn(InferenceEngine) -> T) {}
    shareable::<InferenceEngine>();
    sendable::<Load>();
    sendable::<<Load as IntoFuture>::IntoFuture>();
    sendable::<LoadProgressStream>();
    value_is_sendable(|engine| engine.generate("x", None));
    value_is_sendable(|engine| engine.stream("x", None));
    value_is_sendable(|engine| engine.events("x", None));
    value_is_sendable(|engine| engine.unload());
}

#[test]
fn a_load_shows_what_it_will_do() {
    let load = InferenceEngine::load(crate::mock::configuration());
    let shown = format!("{load:?}");
    assert!(shown.contains("tiny") && shown.contains("Auto"), "{shown}");
}
