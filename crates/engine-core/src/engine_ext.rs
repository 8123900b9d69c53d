//! Conveniences that every engine has.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::{
    BoxFuture, Engine, Error, GenerateRequest, GenerationEvent, GenerationStream,
    GenerationSummary, Result, TokenId, TokenLogprobs,
};

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<TokenId>,
    /// One for each token, if the request asked for them; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprobs>,
    /// Why it ended, and what it took.
    pub summary: GenerationSummary,
}

/// Conveniences for callers, on top of [`Engine`]. Do not implement it.
pub trait EngineExt: Engine {
    /// Checks a request and starts it.
    ///
    /// # Errors
    /// As [`GenerateRequest::validate`] and [`Engine::generate`].
    fn stream(&self, request: GenerateRequest) -> Result<GenerationStream> {
        let request = request.validate(&self.info().model.backend.name, &self.capabilities())?;
        self.generate(request)
    }

    /// The stream's text alone, without empty pieces.
    ///
    /// # Errors
    /// As [`EngineExt::stream`].
    fn stream_text(&self, request: GenerateRequest) -> Result<TextStream> {
        Ok(TextStream {
            events: self.stream(request)?,
        })
    }

    /// Waits for the whole answer.
    fn complete(&self, request: GenerateRequest) -> BoxFuture<Result<Completion>> {
        let stream = self.stream(request);
        Box::pin(async move { collect(stream?).await })
    }
}

impl<E: Engine + ?Sized> EngineExt for E {}

async fn collect(mut events: GenerationStream) -> Result<Completion> {
    let mut text = String::new();
    let mut tokens = Vec::new();
    let mut logprobs = Vec::new();
    while let Some(event) = poll_fn(|cx| events.as_mut().poll_next(cx)).await {
        match event? {
            GenerationEvent::Delta {
                text: piece,
                tokens: ids,
                logprobs: of_ids,
            } => {
                text.push_str(&piece);
                tokens.extend(ids);
                logprobs.extend(of_ids);
            }
            GenerationEvent::Done(summary) => {
                return Ok(Completion {
                    text,
                    tokens,
                    logprobs,
                    summary,
                });
            }
            GenerationEvent::Prefill { .. } => {}
        }
    }
    Err(Error::backend(
        "unknown",
        "finish a generation",
        "the event stream ended without its last event",
    ))
}

/// The text of a generation, piece by piece. Dropping it cancels.
pub struct TextStream {
    events: GenerationStream,
}

impl std::fmt::Debug for TextStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextStream").finish_non_exhaustive()
    }
}

impl Stream for TextStream {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.events.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(GenerationEvent::Delta { text, .. }))) if !text.is_empty() => {
                    return Poll::Ready(Some(Ok(text)));
                }
                Poll::Ready(Some(Ok(_))) => {}
            }
        }
    }
}
