//! The steps of a load as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use engine_core::LoadProgress;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_core::Stream;

/// The steps of one load; see [`Load::progress_stream`](crate::Load::progress_stream).
///
/// Steps wait in memory until they are read: a load sends a few hundred at most.
#[derive(Debug)]
pub struct LoadProgressStream(UnboundedReceiver<LoadProgress>);

impl Stream for LoadProgressStream {
    type Item = LoadProgress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LoadProgress>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

pub(crate) fn channel() -> (ProgressSender, ProgressCloser, LoadProgressStream) {
    let (sender, receiver) = unbounded();
    (
        ProgressSender(sender.clone()),
        ProgressCloser(sender),
        LoadProgressStream(receiver),
    )
}

/// What the backend's callback holds.
#[derive(Clone)]
pub(crate) struct ProgressSender(UnboundedSender<LoadProgress>);

impl ProgressSender {
    pub(crate) fn send(&self, step: LoadProgress) {
        // An error means that the listener has gone, which is its right.
        let _ = self.0.unbounded_send(step);
    }
}

/// What the load holds: ends the stream when the load ends, even if a backend keeps the callback.
pub(crate) struct ProgressCloser(UnboundedSender<LoadProgress>);

impl Drop for ProgressCloser {
    fn drop(&mut self) {
        self.0.close_channel();
    }
}
