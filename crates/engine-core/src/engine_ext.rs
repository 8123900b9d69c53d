//! Conveniences that every engine has.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::{
    BoxFuture, Completion, Engine, GenerateRequest, GenerationEvent, GenerationStream, Result,
};

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

    /// The stream's text alone, without empty pieces, thoughts and calls of tools. What was meant as
    /// a call and can't be carried out is text.
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
        Box::pin(async move { Completion::collect(stream?, |_| ()).await })
    }
}

impl<E: Engine + ?Sized> EngineExt for E {}

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
                Poll::Ready(Some(Ok(GenerationEvent::InvalidToolCall { invalid, .. }))) => {
                    return Poll::Ready(Some(Ok(invalid.text)));
                }
                Poll::Ready(Some(Ok(_))) => {}
            }
        }
    }
}
