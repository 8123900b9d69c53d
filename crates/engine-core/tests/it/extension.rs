//! What every engine gets for nothing, on an engine of a few lines.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
    time::Duration,
};

use engine_core::{
    BackendInfo, BoxFuture, Capabilities, ComputeType, Engine, EngineExt, EngineInfo, Error, Field,
    FieldSet, FinishReason, GenerateParams, GenerateRequest, GenerationEvent, GenerationStream,
    GenerationSummary, MemoryReport, Message, ModelInfo, Result, Timings, TokenId, Usage,
    ValidRequest,
};
use futures_core::Stream;

#[derive(Debug)]
struct Replay {
    info: EngineInfo,
    events: Mutex<Vec<Result<GenerationEvent>>>,
}

struct Events(VecDeque<Result<GenerationEvent>>);

impl Stream for Events {
    type Item = Result<GenerationEvent>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

impl Engine for Replay {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().with_fields(FieldSet::GENERATION.without(Field::Seed))
    }

    fn generate(&self, _: ValidRequest) -> Result<GenerationStream> {
        let events = self
            .events
            .lock()
            .map(|mut events| std::mem::take(&mut *events))
            .unwrap_or_default();
        Ok(Box::pin(Events(events.into())))
    }

    fn tokenize(&self, _: &str) -> Result<Vec<TokenId>> {
        Ok(Vec::new())
    }

    fn detokenize(&self, _: &[TokenId]) -> Result<String> {
        Ok(String::new())
    }

    fn render_chat(&self, _: &[Message]) -> Result<String> {
        Ok(String::new())
    }

    fn prompt_text(&self, _: &ValidRequest) -> Result<Option<String>> {
        Ok(None)
    }

    fn memory(&self) -> BoxFuture<Result<MemoryReport>> {
        Box::pin(async { Ok(MemoryReport::default()) })
    }

    fn trim(&self) -> BoxFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn unload(&self) -> BoxFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

fn replay(events: Vec<Result<GenerationEvent>>) -> Replay {
    Replay {
        info: EngineInfo {
            name: "replay".into(),
            path: None,
            model: ModelInfo {
                backend: BackendInfo {
                    name: "replay".into(),
                    version: "1".into(),
                    simulated: true,
                },
                device: "none".into(),
                architecture: "none".into(),
                vocab_size: 1,
                context_length: 1,
                compute: ComputeType::F32,
                quantization: None,
                weight_bytes: 0,
            },
            load_time: Duration::ZERO,
        },
        events: Mutex::new(events),
    }
}

fn delta(text: &str, token: TokenId) -> GenerationEvent {
    GenerationEvent::Delta {
        text: text.into(),
        tokens: vec![token],
        logprobs: Vec::new(),
    }
}

fn done() -> GenerationEvent {
    GenerationEvent::Done(GenerationSummary {
        finish: FinishReason::MaxTokens,
        usage: Usage::default(),
        timings: Timings::default(),
        seed: None,
        ignored: Vec::new(),
    })
}

fn answer(events: impl IntoIterator<Item = GenerationEvent>) -> Vec<Result<GenerationEvent>> {
    events.into_iter().map(Ok).collect()
}

/// Every future here is ready at once.
fn now<T>(mut future: BoxFuture<T>) -> T {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not ready"),
    }
}

#[test]
fn complete_joins_texts_and_tokens() {
    let engine = replay(answer([delta("a", 1), delta("", 2), delta("b", 3), done()]));
    let completion = now(engine.complete(GenerateRequest::text("x"))).unwrap();
    assert_eq!(completion.text, "ab");
    assert_eq!(completion.tokens, [1, 2, 3]);
}

#[test]
fn complete_reports_a_stream_that_breaks_or_just_ends() {
    let broken = replay(vec![
        Ok(delta("a", 1)),
        Err(Error::UnknownSequence { id: 1 }),
    ]);
    assert!(matches!(
        now(broken.complete(GenerateRequest::text("x"))),
        Err(Error::UnknownSequence { .. })
    ));
    let endless = replay(answer([delta("a", 1)]));
    assert!(matches!(
        now(endless.complete(GenerateRequest::text("x"))),
        Err(Error::Backend { .. })
    ));
}

#[test]
fn a_request_is_checked_before_the_engine_sees_it() {
    let engine = replay(answer([delta("a", 1), done()]));
    let request = GenerateRequest::text("x").with_params(GenerateParams::default().with_seed(1));
    assert!(matches!(
        engine.stream(request).map(drop),
        Err(Error::Unsupported {
            field: Field::Seed,
            ..
        })
    ));
    assert_eq!(engine.events.lock().unwrap().len(), 2);
}

#[test]
fn the_text_stream_leaves_out_empty_pieces() {
    let engine = replay(answer([delta("", 1), delta("a", 2), done()]));
    let mut stream = Box::pin(engine.stream_text(GenerateRequest::text("x")).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let mut pieces = Vec::new();
    while let Poll::Ready(Some(piece)) = stream.as_mut().poll_next(&mut context) {
        pieces.push(piece.unwrap());
    }
    assert_eq!(pieces, ["a"]);
}
