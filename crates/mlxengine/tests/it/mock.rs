//! Engines on the mock.

use std::sync::Arc;

use futures_executor::block_on;
use mlxengine::{
    GenerateParams, InferenceEngine, ModelConfiguration,
    mock::{MockBackend, Script},
};

/// A mock that always gives this answer.
pub(crate) fn saying(reply: &str) -> Arc<MockBackend> {
    let script = Script::new().reply(reply);
    Arc::new(MockBackend::builder().scripted(script).build().unwrap())
}

pub(crate) fn configuration() -> ModelConfiguration {
    ModelConfiguration::from_path("models/tiny").with_generate(GenerateParams::greedy())
}

/// An engine that always gives this answer.
pub(crate) fn engine(reply: &str) -> InferenceEngine {
    let load = InferenceEngine::load(configuration()).with_backend(saying(reply));
    block_on(load.into_future()).unwrap()
}
