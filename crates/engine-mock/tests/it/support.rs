//! Loading mocks and asking them.

use std::sync::Arc;

use engine_core::{
    Backend, Completion, Engine, EngineExt, GenerateParams, GenerateRequest, LoadRequest, Message,
    Progress, Prompt, Result,
};
use engine_mock::{MockBackend, MockBuilder};
use futures_executor::block_on;

pub(crate) fn backend(mock: MockBuilder) -> MockBackend {
    mock.build().expect("sound settings")
}

pub(crate) fn load_from(backend: &MockBackend) -> Result<Arc<dyn Engine>> {
    block_on(backend.load(LoadRequest::new("models/mock"), Progress::silent()))
}

pub(crate) fn load(mock: MockBuilder) -> Arc<dyn Engine> {
    load_from(&backend(mock)).expect("a load without a fault")
}

pub(crate) fn ask_with(
    engine: &Arc<dyn Engine>,
    prompt: impl Into<Prompt>,
    params: GenerateParams,
) -> Result<Completion> {
    block_on(engine.complete(GenerateRequest::new(prompt.into()).with_params(params)))
}

/// The greedy answer.
pub(crate) fn ask(engine: &Arc<dyn Engine>, prompt: impl Into<Prompt>) -> Result<Completion> {
    ask_with(engine, prompt, GenerateParams::greedy())
}

pub(crate) fn chat(question: &str) -> Vec<Message> {
    vec![Message::user(question)]
}
