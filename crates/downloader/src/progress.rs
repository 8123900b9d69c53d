//! How far a download is, as a stream.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_core::Stream;
use tokio::sync::watch;

use crate::{FilePath, plan::Plan};

/// How often the stream says something new.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// The time over which the speed is averaged.
const WINDOW: Duration = Duration::from_secs(5);
/// The size of a file that is not known.
const UNKNOWN: u64 = u64::MAX;

/// How far a download is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are there, those of earlier runs included.
    pub bytes: u64,
    /// Bytes there will be; `None` while a file's size is not known.
    pub total: Option<u64>,
    /// Bytes that came over the network in this run.
    pub received: u64,
    /// Bytes a second, averaged over the last seconds.
    pub bytes_per_second: f64,
    /// The time that is left at this speed, where it can be told.
    pub time_left: Option<Duration>,
    /// Whether the download is paused.
    pub paused: bool,
    /// Each file, in the order of the plan.
    pub files: Arc<[FileProgress]>,
}

/// How far one file is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileProgress {
    /// Its path in the repository.
    pub path: FilePath,
    /// Bytes that are there. It falls where a file has to begin anew.
    pub bytes: u64,
    /// Its size, once that is known.
    pub size: Option<u64>,
    /// What is done with it.
    pub state: FileState,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileState {
    /// It waits for its turn.
    Queued,
    /// Another process fetches it; `bytes` is how far that one is.
    WaitingForOther,
    /// Its bytes are coming.
    Transferring,
    /// All bytes are there; the rest of the digest is computed.
    Verifying,
    /// It is visible in the snapshot.
    Done,
}

impl FileState {
    const ALL: [Self; 5] = [
        Self::Queued,
        Self::WaitingForOther,
        Self::Transferring,
        Self::Verifying,
        Self::Done,
    ];
}

/// The stream of a download's progress: the newest state, ten times a second, and a last one.
///
/// A reader that is slow misses states in between and holds nothing up.
pub struct ProgressStream {
    states: Pin<Box<dyn Stream<Item = Progress> + Send>>,
}

impl ProgressStream {
    pub(crate) fn new(receiver: watch::Receiver<Progress>) -> Self {
        let states =
            futures_util::stream::unfold((receiver, true), |(mut receiver, first)| async move {
                if !first && receiver.changed().await.is_err() {
                    return None;
                }
                let now = receiver.borrow_and_update().clone();
                Some((now, (receiver, false)))
            });
        Self {
            states: Box::pin(states),
        }
    }
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.states.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProgressStream").finish_non_exhaustive()
    }
}

/// The counters that the work updates.
#[derive(Debug)]
pub(crate) struct Tally {
    received: AtomicU64,
    files: Vec<FileTally>,
}

#[derive(Debug)]
pub(crate) struct FileTally {
    path: FilePath,
    bytes: AtomicU64,
    size: AtomicU64,
    state: AtomicU8,
}

impl Tally {
    pub(crate) fn new(plan: &Plan) -> Self {
        let files = plan.files.iter().map(|file| FileTally {
            path: file.path.clone(),
            bytes: AtomicU64::new(0),
            size: AtomicU64::new(file.size.unwrap_or(UNKNOWN)),
            state: AtomicU8::new(0),
        });
        Self {
            received: AtomicU64::new(0),
            files: files.collect(),
        }
    }

    pub(crate) fn file(&self, index: usize) -> Option<&FileTally> {
        self.files.get(index)
    }

    pub(crate) fn receive(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl FileTally {
    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, state: FileState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    fn now(&self) -> FileProgress {
        let size = self.size.load(Ordering::Relaxed);
        let state = usize::from(self.state.load(Ordering::Relaxed));
        FileProgress {
            path: self.path.clone(),
            bytes: self.bytes.load(Ordering::Relaxed),
            size: (size != UNKNOWN).then_some(size),
            state: FileState::ALL
                .get(state)
                .copied()
                .unwrap_or(FileState::Queued),
        }
    }
}

/// Turns counters into states, with a speed.
#[derive(Debug)]
pub(crate) struct Meter {
    tally: Arc<Tally>,
    /// Moments of the last seconds, with the bytes received until then.
    window: VecDeque<(Instant, u64)>,
}

impl Meter {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self {
            tally,
            window: VecDeque::new(),
        }
    }

    /// The state at a moment.
    pub(crate) fn read(&mut self, now: Instant, paused: bool) -> Progress {
        let files: Arc<[FileProgress]> = self.tally.files.iter().map(FileTally::now).collect();
        let bytes = files.iter().map(|file| file.bytes).sum();
        let total: Option<u64> = files.iter().map(|file| file.size).sum();
        let received = self.tally.received();
        let bytes_per_second = self.speed(now, received);
        let time_left =
            total
                .map(|total| total.saturating_sub(bytes))
                .and_then(|left| match left {
                    0 => Some(Duration::ZERO),
                    _ if paused => None,
                    // No time for a speed of nothing.
                    left => Duration::try_from_secs_f64(left as f64 / bytes_per_second).ok(),
                });
        Progress {
            bytes,
            total,
            received,
            bytes_per_second,
            time_left,
            paused,
            files,
        }
    }

    fn speed(&mut self, now: Instant, received: u64) -> f64 {
        self.window.push_back((now, received));
        while self.window.len() > 2
            && self
                .window
                .get(1)
                .is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW)
        {
            self.window.pop_front();
        }
        let Some(&(then, before)) = self.window.front() else {
            return 0.0;
        };
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 {
            received.saturating_sub(before) as f64 / seconds
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Commit, FixedLocation, Location, PlannedFile, RepoFolder};

    #[test]
    fn speed_and_time_left_follow_from_the_bytes_received() {
        let source = Arc::new(FixedLocation::new(
            Location::new("http://localhost/").unwrap(),
        ));
        let file = PlannedFile::new(FilePath::new("a").unwrap(), source).with_size(1000);
        let repo = RepoFolder::of_model("a/b").unwrap();
        let commit = Commit::new(&"0".repeat(40)).unwrap();
        let tally = Arc::new(Tally::new(&Plan::new(repo, commit, [file]).unwrap()));
        let mut meter = Meter::new(Arc::clone(&tally));
        let start = Instant::now();
        let first = meter.read(start, false);
        assert_eq!((first.bytes_per_second, first.time_left), (0.0, None));

        // 300 bytes were there before; 200 come in two seconds.
        tally.receive(200);
        tally.file(0).unwrap().set_bytes(500);
        let later = meter.read(start + Duration::from_secs(2), false);
        assert_eq!(later.bytes_per_second, 100.0);
        assert_eq!(later.time_left, Some(Duration::from_secs(5)));
        assert_eq!(
            (later.bytes, later.total, later.received),
            (500, Some(1000), 200)
        );
    }
}
