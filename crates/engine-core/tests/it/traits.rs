//! Auto traits and object safety, which callers rely on and no function shows.

use std::sync::Arc;

use engine_core::{
    Backend, Completion, Engine, Error, GenerateRequest, GenerationEvent, GenerationStream, Model,
    ModelConfiguration, Progress, TextStream, ValidRequest,
};

fn is_send<T: Send + 'static>() {}
fn is_send_sync<T: Send + Sync + 'static>() {}

#[test]
fn what_crosses_threads_can() {
    is_send_sync::<Arc<dyn Backend>>();
    is_send_sync::<Arc<dyn Engine>>();
    is_send_sync::<Error>();
    is_send_sync::<GenerateRequest>();
    is_send_sync::<ValidRequest>();
    is_send_sync::<GenerationEvent>();
    is_send_sync::<Completion>();
    is_send_sync::<ModelConfiguration>();
    is_send_sync::<Progress>();
    is_send::<GenerationStream>();
    is_send::<TextStream>();
}

#[test]
fn a_model_can_be_boxed() {
    fn takes(_: Option<Box<dyn Model>>) {}
    takes(None);
}
