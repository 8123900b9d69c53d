//! The events of one generation, from the model's thread to the caller.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use engine_core::{Error, GenerationEvent, Result};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_core::Stream;

/// Where the events of a generation go.
#[derive(Debug)]
pub(super) struct EventSender {
    channel: UnboundedSender<Result<GenerationEvent>>,
}

/// The events of a generation, as the caller sees them.
///
/// If the sender goes away before the last event, the engine has been unloaded, and says so.
#[derive(Debug)]
pub(super) struct EventStream {
    channel: UnboundedReceiver<Result<GenerationEvent>>,
    model: Arc<str>,
    ended: bool,
}

/// A channel for one generation of the model of this name.
///
/// It is unbounded: what lies in it is at most one answer, and a slow reader must not stop the
/// generations beside its own.
pub(super) fn event_channel(model: Arc<str>) -> (EventSender, EventStream) {
    let (sender, receiver) = unbounded();
    let stream = EventStream {
        channel: receiver,
        model,
        ended: false,
    };
    (EventSender { channel: sender }, stream)
}

impl EventSender {
    /// Sends an event; nothing happens if nobody listens any more.
    pub(super) fn send(&self, event: Result<GenerationEvent>) {
        let _ = self.channel.unbounded_send(event);
    }

    /// Whether the caller has dropped the stream.
    pub(super) fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }
}

impl Stream for EventStream {
    type Item = Result<GenerationEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let event = match Pin::new(&mut self.channel).poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(event)) => event,
            Poll::Ready(None) => Err(Error::Unloaded {
                model: self.model.to_string(),
            }),
        };
        self.ended = matches!(event, Err(_) | Ok(GenerationEvent::Done(_)));
        Poll::Ready(Some(event))
    }
}
