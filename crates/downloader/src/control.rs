//! Cancelling, pausing and resuming.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// Stops a download, for good or for a while. Clones control the same download.
#[derive(Debug, Clone)]
pub struct Controller {
    token: CancellationToken,
    paused: Arc<watch::Sender<bool>>,
}

impl Controller {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self {
            token,
            paused: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Ends the download with [`Error::Cancelled`]. What has arrived stays for the next one.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Closes the connections and keeps what has arrived, until [`Controller::resume`].
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Whether the download is paused.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// What one file's work listens to; `stop` ends that work alone.
    pub(crate) fn listen(&self, stop: CancellationToken) -> Listener {
        Listener {
            stop,
            controller: self.clone(),
        }
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// The side of the controller that the work sees.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    stop: CancellationToken,
    controller: Controller,
}

impl Listener {
    /// A listener that can be stopped on its own.
    pub(crate) fn child(&self) -> Self {
        self.controller.listen(self.stop.child_token())
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the work should let go of its connection: for a pause, or for good.
    pub(crate) async fn interrupted(&self) {
        let mut paused = self.controller.paused.subscribe();
        tokio::select! {
            () = self.stop.cancelled() => {}
            // The sender lives as long as this listener.
            _ = paused.wait_for(|paused| *paused) => {}
        }
    }

    /// Waits until there is no pause.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        let mut paused = self.controller.paused.subscribe();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::Cancelled),
            _ = paused.wait_for(|paused| !*paused) => Ok(()),
        }
    }

    /// Waits for something, unless the work is stopped.
    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::Cancelled),
            done = work => Ok(done),
        }
    }
}
