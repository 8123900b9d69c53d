//! Fetching the bytes of one file: over several connections, each for one part at a time.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::watch;

use super::{
    Run, answer::Asked, body::read_body, pace::Pace, partial::Partial, place::Whereabouts,
    tries::Tries,
};
use crate::{Error, PlannedFile, control::Listener, progress::FileTally};

/// The bytes that are still missing of one file, being fetched.
#[derive(Debug)]
pub(crate) struct Transfer<'a> {
    pub(crate) run: &'a Run,
    pub(crate) file: &'a PlannedFile,
    pub(crate) tally: &'a FileTally,
    pub(crate) place: &'a Whereabouts<'a>,
    pub(crate) partial: Arc<Partial>,
    /// Whether the name of the content says what it has to be.
    pub(crate) verifiable: bool,
    pub(crate) state: &'a TransferState,
}

/// What is learnt about the server, kept while a file begins anew.
#[derive(Debug, Default)]
pub(crate) struct TransferState {
    /// It sends whole files only.
    whole_files_only: AtomicBool,
    ignored_once: AtomicBool,
    /// Connections that bring parts at the moment.
    connections: AtomicUsize,
    /// How often a whole file was asked for in a row without a new byte.
    fruitless: AtomicUsize,
    /// How fast its connections are.
    pub(crate) pace: Pace,
    /// The `ETag` of the bytes, where it is all that tells one content from another.
    pub(crate) body_etag: Mutex<Option<String>>,
}

impl TransferState {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Why a request did not bring what it should.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No further request will help.
    Fatal(Error),
    /// Another request may help, perhaps not before some time.
    Again {
        error: Error,
        after: Option<Duration>,
    },
    /// The server sent the whole file.
    RangeIgnored,
    /// What is there does not belong to what the server has now.
    Changed,
    /// The download is paused or stopped.
    Interrupted,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Self::Interrupted,
            error => Self::Fatal(error),
        }
    }
}

type Queue = Mutex<VecDeque<Range<u64>>>;

impl Transfer<'_> {
    /// Fetches what is missing.
    pub(crate) async fn complete(&self, listener: &Listener) -> Result<(), Fault> {
        while !self.partial.is_full() {
            let whole_only = self.state.whole_files_only.load(Ordering::Relaxed);
            match self.partial.size() {
                Some(size) if !whole_only => self.fetch_parts(size, listener).await?,
                _ => self.fetch_rest(listener).await?,
            }
        }
        Ok(())
    }

    /// Several connections share the missing parts.
    async fn fetch_parts(&self, size: u64, listener: &Listener) -> Result<(), Fault> {
        let parts: VecDeque<Range<u64>> = self
            .partial
            .gaps(0..size)
            .into_iter()
            .flat_map(|gap| split(gap, self.run.options().part_size))
            .collect();
        let connections = self.run.options().connections.min(parts.len());
        let queue: Queue = Mutex::new(parts);
        // The first connection learns whether the server can send parts at all.
        let proven = watch::Sender::new(false);
        let ramp = Ramp::new(self.run.options().ramp);
        let siblings = listener.child();
        self.state.connections.store(0, Ordering::Relaxed);
        let mut workers: FuturesUnordered<_> = (0..connections)
            .map(|index| self.work(index, &queue, size, (&proven, &ramp), &siblings))
            .collect();
        let mut outcome = Ok(());
        while let Some(ended) = workers.next().await {
            match ended {
                Ok(()) => {}
                Err(Fault::Interrupted) if outcome.is_err() => {}
                Err(fault) => {
                    if !matches!(outcome, Err(Fault::Fatal(_))) {
                        outcome = Err(fault);
                    }
                    // The others keep what they have and end.
                    siblings.stop();
                }
            }
        }
        match outcome {
            Err(Fault::RangeIgnored) => {
                self.state.whole_files_only.store(true, Ordering::Relaxed);
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn work(
        &self,
        index: usize,
        queue: &Queue,
        size: u64,
        (proven, ramp): (&watch::Sender<bool>, &Ramp),
        listener: &Listener,
    ) -> Result<(), Fault> {
        if index > 0 {
            let mut proven = proven.subscribe();
            let _ = listener
                .unless_stopped(proven.wait_for(|proven| *proven))
                .await?;
            let is_needed = ramp.wait(index, || self.partial.bytes(), || lock(queue).is_empty());
            if !listener.unless_stopped(is_needed).await? {
                return Ok(());
            }
        }
        self.state.connections.fetch_add(1, Ordering::Relaxed);
        let mut tries = Tries::new(self.run.options());
        loop {
            listener.ready().await?;
            let Some(part) = lock(queue).pop_front() else {
                return Ok(());
            };
            let asked = if part == (0..size) {
                Asked::Whole
            } else {
                Asked::Part {
                    start: part.start,
                    end: Some(part.end),
                }
            };
            let took = || {
                let _ = proven.send_replace(true);
            };
            let (new, result) = self.request(&asked, Some(part.end), &took, listener).await;
            if result.is_err() {
                let mut queue = lock(queue);
                for gap in self.partial.gaps(part).into_iter().rev() {
                    queue.push_front(gap);
                }
            }
            self.settle(new, result, &mut tries, listener).await?;
        }
    }

    /// One connection brings everything from where the file has its first gap, or all of it.
    async fn fetch_rest(&self, listener: &Listener) -> Result<(), Fault> {
        let mut tries = Tries::new(self.run.options());
        while !self.partial.is_full() {
            listener.ready().await?;
            let whole_only = self.state.whole_files_only.load(Ordering::Relaxed);
            if self.partial.size().is_some() && !whole_only {
                return Ok(());
            }
            let start = self.partial.prefix();
            let asked = if start == 0 || whole_only {
                Asked::Whole
            } else {
                Asked::Part { start, end: None }
            };
            let (new, result) = self.request(&asked, None, &|| (), listener).await;
            let result = self.reconsider(whole_only, new, result);
            match self.settle(new, result, &mut tries, listener).await {
                Err(Fault::RangeIgnored) => {
                    self.state.whole_files_only.store(true, Ordering::Relaxed);
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    /// After a failed request for the whole file: another part of the service may know ranges, and
    /// would save bytes. A server that never gets to the end is given up.
    fn reconsider(
        &self,
        whole_only: bool,
        new: u64,
        result: Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Err(Fault::Again { error, after }) = result else {
            return result;
        };
        if whole_only {
            self.state.whole_files_only.store(false, Ordering::Relaxed);
            if new > 0 {
                self.state.fruitless.store(0, Ordering::Relaxed);
            }
            let times = self.state.fruitless.fetch_add(1, Ordering::Relaxed);
            if times >= self.run.options().attempts {
                return Err(Fault::Fatal(error));
            }
        }
        Err(Fault::Again { error, after })
    }

    /// Waits before the next try, or gives up.
    async fn settle(
        &self,
        new: u64,
        result: Result<(), Fault>,
        tries: &mut Tries,
        listener: &Listener,
    ) -> Result<(), Fault> {
        if new > 0 {
            tries.reset();
        }
        let (error, after) = match result {
            Ok(()) => return Ok(()),
            Err(Fault::Again { error, after }) => (error, after),
            // One of a service's many servers may be unlike the others.
            Err(Fault::RangeIgnored) if !self.state.ignored_once.swap(true, Ordering::Relaxed) => {
                return Ok(());
            }
            // A pause: the next round waits for its end.
            Err(Fault::Interrupted) if !listener.is_stopped() => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let Some(delay) = tries.next() else {
            return Err(Fault::Fatal(error));
        };
        tracing::debug!(path = %self.file.path, %error, "trying again");
        let delay = delay.max(after.unwrap_or(Duration::ZERO));
        listener.unless_stopped(tokio::time::sleep(delay)).await?;
        Ok(())
    }

    /// One request, with the bytes it brings written down. Returns how many were new.
    async fn request(
        &self,
        asked: &Asked,
        until: Option<u64>,
        took: &(dyn Fn() + Sync),
        listener: &Listener,
    ) -> (u64, Result<(), Fault>) {
        let permit = listener
            .unless_stopped(self.run.shared.connections.acquire())
            .await;
        let _permit = match permit {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return (0, Err(Fault::Fatal(Error::Interrupted))),
            Err(stopped) => return (0, Err(stopped.into())),
        };
        let body = match self.open(asked, listener).await {
            Ok(Some(body)) => body,
            Ok(None) => return (0, Ok(())),
            Err(fault) => return (0, Err(fault)),
        };
        took();
        read_body(self, body.until(until), listener).await
    }
}

/// Opens connections one after the other, and only as many as help.
#[derive(Debug)]
struct Ramp {
    step: Duration,
    opened: AtomicUsize,
}

/// Bytes a second of one connection beyond which the bottleneck is this machine.
const FAST_CONNECTION: f64 = 200e6;

impl Ramp {
    fn new(step: Duration) -> Self {
        Self {
            step,
            opened: AtomicUsize::new(1),
        }
    }

    /// Waits until another connection helps; `false` if there is nothing left for it.
    async fn wait(
        &self,
        index: usize,
        bytes: impl Fn() -> u64,
        is_done: impl Fn() -> bool,
    ) -> bool {
        if self.step.is_zero() {
            return true;
        }
        let mut before = bytes();
        let mut pause = self.step * index as u32;
        loop {
            tokio::time::sleep(pause).await;
            if is_done() {
                return false;
            }
            let now = bytes();
            let rate = now.saturating_sub(before) as f64 / pause.as_secs_f64();
            let opened = self.opened.load(Ordering::Relaxed);
            if rate < FAST_CONNECTION * opened as f64 {
                self.opened.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            before = now;
            // Long enough for a rate that means something.
            pause = 5 * self.step;
        }
    }
}

/// Cuts a range at the multiples of `size`.
fn split(range: Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let next = (at / size + 1).saturating_mul(size).min(range.end);
        let part = at..next;
        at = next;
        Some(part)
    })
}

fn lock(queue: &Queue) -> MutexGuard<'_, VecDeque<Range<u64>>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_at_multiples_of_their_size() {
        let parts: Vec<_> = split(3..25, 10).collect();
        assert_eq!(parts, [3..10, 10..20, 20..25]);
        assert_eq!(split(5..5, 10).count(), 0);
    }
}
