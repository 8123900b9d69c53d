//! Streams of the processor, used again and again.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use mlx_rs::Stream;

use super::{
    exception::MlxResult,
    ffi::{self, RoamingStream},
};

static IDLE: Mutex<Vec<RoamingStream>> = Mutex::new(Vec::new());

/// Streams of the processor for the time of one model. Dropping them waits for their work and
/// hands them back.
pub(super) struct CpuStreams {
    roaming: Vec<RoamingStream>,
    streams: Vec<Stream>,
}

impl CpuStreams {
    /// Takes idle streams, or makes them; at least one. The first becomes this thread's default.
    pub(super) fn take(count: usize) -> MlxResult<Self> {
        let mut taken = Self {
            roaming: Vec::new(),
            streams: Vec::new(),
        };
        for _ in 0..count.max(1) {
            let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let roaming = match idle {
                Some(roaming) => roaming,
                None => RoamingStream::new()?,
            };
            taken.streams.push(roaming.as_default()?);
            taken.roaming.push(roaming);
        }
        taken.roaming[0].as_default()?;
        Ok(taken)
    }

    /// The stream for all that is not divided.
    pub(super) fn main(&self) -> &Stream {
        &self.streams[0]
    }

    /// All streams, the main one first.
    pub(super) fn all(&self) -> &[Stream] {
        &self.streams
    }
}

impl Drop for CpuStreams {
    fn drop(&mut self) {
        for stream in &self.streams {
            // A stream whose work failed has told its model; it can be used again.
            let _ = ffi::synchronize(stream);
        }
        IDLE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut self.roaming);
    }
}

impl fmt::Debug for CpuStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.streams.fmt(f)
    }
}
