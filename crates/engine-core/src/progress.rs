//! How loading reports its progress and hears that it was cancelled.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A stage of loading. Stages come in this order; one may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LoadStage {
    /// Configuration and file headers.
    Reading,
    /// Tokenizer and chat template.
    Tokenizer,
    /// Weights.
    Weights,
    /// The engine can be used. The last event of a load that succeeds; one that fails never sends it.
    Ready,
}

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadProgress {
    /// What is being done.
    pub stage: LoadStage,
    /// Bytes of weights in place. Never shrinks.
    pub done_bytes: u64,
    /// Bytes of weights in all; 0 while unknown.
    pub total_bytes: u64,
}

impl LoadProgress {
    /// The share done, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        match (self.stage, self.total_bytes) {
            (LoadStage::Ready, _) => 1.0,
            (_, 0) => 0.0,
            (_, total) => self.done_bytes as f64 / total as f64,
        }
    }
}

/// Where a backend reports progress, and learns that its caller has gone.
///
/// The callback must not block. Clones share the callback and the cancellation.
#[derive(Clone)]
pub struct Progress {
    callback: Arc<dyn Fn(LoadProgress) + Send + Sync>,
    cancelled: Arc<AtomicBool>,
    /// The most bytes that any report named.
    bytes: Arc<AtomicU64>,
}

impl Progress {
    /// Calls `callback` for every event.
    pub fn new(callback: impl Fn(LoadProgress) + Send + Sync + 'static) -> Self {
        Self {
            callback: Arc::new(callback),
            cancelled: Arc::default(),
            bytes: Arc::default(),
        }
    }

    /// Tells nobody.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Passes an event on.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the load has been cancelled: the backend stops and cleans up.
    pub fn report(&self, progress: LoadProgress) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Cancelled {
                operation: "loading the model",
            });
        }
        self.bytes.fetch_max(
            progress.done_bytes.max(progress.total_bytes),
            Ordering::Relaxed,
        );
        (self.callback)(progress);
        Ok(())
    }

    /// Reports [`LoadStage::Ready`], with the bytes that earlier reports named as done.
    ///
    /// # Errors
    /// As [`Progress::report`].
    pub fn ready(&self) -> Result<()> {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.report(LoadProgress {
            stage: LoadStage::Ready,
            done_bytes: bytes,
            total_bytes: bytes,
        })
    }

    /// Asks the backend to stop at its next report.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("cancelled", &self.cancelled)
            .finish_non_exhaustive()
    }
}
