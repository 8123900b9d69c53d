//! A download under way.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    runtime::Handle,
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Controller, Error, FilePath, Plan, Progress, ProgressStream,
    cache::{self, InUse, RepoLayout},
    downloader::preview,
    progress::{INTERVAL, Meter, Tally},
    transfer::{Came, Destination, Run, Shared, blocking, fetch_file, visible_size},
};

/// A complete snapshot in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its folder, which has the files of the plan under their paths.
    pub path: PathBuf,
    /// Each file, in the order of the plan.
    pub files: Vec<SnapshotFile>,
    /// Bytes that came over the network.
    pub received: u64,
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFile {
    /// Its path in the repository.
    pub path: FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// Whether this download brought it; `false` if it was there.
    pub fetched: bool,
}

/// A download under way: a future of the [`Snapshot`]. Dropping it cancels.
///
/// It ends either with every file of the plan verified and visible, or with one error. What has
/// arrived until then is kept, and the next download goes on from there.
#[derive(Debug)]
pub struct Download {
    controller: Controller,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Result<Snapshot, Error>>,
}

impl Download {
    pub(crate) fn spawn(
        runtime: &Handle,
        shared: Arc<Shared>,
        plan: Plan,
        token: CancellationToken,
    ) -> Self {
        let controller = Controller::new(token);
        let tally = Arc::new(Tally::new(&plan));
        let mut meter = Meter::new(Arc::clone(&tally));
        let (sender, progress) = watch::channel(meter.read(Instant::now(), false));
        let run = Run {
            shared,
            controller: controller.clone(),
            tally,
        };
        let task = runtime.spawn(async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut work = std::pin::pin!(work(&run, &plan));
            let outcome = loop {
                tokio::select! {
                    outcome = &mut work => break outcome,
                    _ = ticks.tick() => {
                        let paused = run.controller.is_paused();
                        sender.send_replace(meter.read(Instant::now(), paused));
                    }
                }
            };
            sender.send_replace(meter.read(Instant::now(), false));
            outcome
        });
        Self {
            controller,
            progress,
            task,
        }
    }

    /// How far it is, from now on.
    pub fn progress(&self) -> ProgressStream {
        ProgressStream::new(self.progress.clone())
    }

    /// Something to cancel, pause and resume it with, while it is awaited elsewhere.
    pub fn controller(&self) -> Controller {
        self.controller.clone()
    }
}

impl Future for Download {
    type Output = Result<Snapshot, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task)
            .poll(context)
            .map(|ended| ended.unwrap_or(Err(Error::Interrupted)))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.controller.cancel();
    }
}

async fn work(run: &Run, plan: &Plan) -> Result<Snapshot, Error> {
    let layout = RepoLayout::new(&run.shared.cache, &plan.repo);
    let destination = Destination {
        layout: layout.clone(),
        commit: plan.commit.clone(),
    };
    check_space(run, plan).await?;
    let (made, planned) = (layout.clone(), plan.clone());
    let complete = blocking(move || {
        let complete = planned.files.iter().all(|file| {
            let pointer = made.pointer(&planned.commit, &file.path);
            visible_size(&pointer, file.size, file.blob_name().as_ref()).is_some()
        });
        // A cache that can't be written still answers with what it has.
        if !complete {
            made.create(&planned.commit)?;
            if let Some(listing) = &planned.listing
                && let Err(error) = made.write_listing(&planned.commit, listing)
            {
                // Nothing that is needed: without it other clients ask the Hub again.
                tracing::debug!(%error, "no note of the commit's files");
            }
        }
        Ok(complete)
    })
    .await?;

    let used = layout.clone();
    let _in_use = blocking(move || Ok(InUse::begin(&used))).await?;

    let listener = run.controller.listen(run.controller.token().child_token());
    let mut fetching = stream::iter(0..plan.files.len())
        .map(|index| {
            let (listener, destination) = (&listener, &destination);
            async move {
                listener.ready().await?;
                let (file, tally) = plan
                    .files
                    .get(index)
                    .zip(run.tally.file(index))
                    .ok_or(Error::Interrupted)?;
                let (came, size) = fetch_file(run, destination, file, tally, listener).await?;
                let fetched = SnapshotFile {
                    path: file.path.clone(),
                    size,
                    fetched: came == Came::Fetched,
                };
                Ok((index, fetched))
            }
        })
        .buffer_unordered(run.options().files);
    let mut files = Vec::with_capacity(plan.files.len());
    let mut failure = None;
    while let Some(ended) = fetching.next().await {
        match ended {
            Ok(file) => files.push(file),
            Err(error) => {
                // The first error is the cause; the other files keep what they have and end.
                failure.get_or_insert(error);
                listener.stop();
            }
        }
    }
    drop(fetching);
    if let Some(error) = failure {
        return Err(with_room(run, plan, error).await);
    }
    files.sort_by_key(|(index, _)| *index);

    let (refs, commit) = (plan.refs.clone(), plan.commit.clone());
    let path = layout.snapshot(&plan.commit);
    blocking(move || {
        cache::mark_used(&layout, &commit);
        let mut written = refs.iter().map(|name| layout.write_ref(name, &commit));
        let written = written.try_for_each(|written| written);
        if complete { Ok(()) } else { written }
    })
    .await?;
    Ok(Snapshot {
        path,
        files: files.into_iter().map(|(_, file)| file).collect(),
        received: run.tally.received(),
    })
}

/// Refuses what can't fit, before anything is fetched.
async fn check_space(run: &Run, plan: &Plan) -> Result<(), Error> {
    let (cache, planned) = (run.shared.cache.clone(), plan.clone());
    let needed = blocking(move || Ok(preview(&cache, &planned))).await?;
    let with_reserve = needed.bytes_to_fetch.saturating_add(run.options().reserve);
    match needed.available {
        Some(available) if needed.bytes_to_fetch > 0 && with_reserve > available => {
            Err(Error::DiskFull {
                path: run.shared.cache.clone(),
                needed: Some(needed.bytes_to_fetch),
                available: Some(available),
            })
        }
        _ => Ok(()),
    }
}

/// Says how much room is missing, if that is what the error is about.
async fn with_room(run: &Run, plan: &Plan, error: Error) -> Error {
    if !matches!(error, Error::DiskFull { needed: None, .. }) {
        return error;
    }
    let (cache, plan) = (run.shared.cache.clone(), plan.clone());
    match blocking(move || Ok(preview(&cache, &plan))).await {
        Ok(state) => Error::DiskFull {
            path: run.shared.cache.clone(),
            needed: Some(state.bytes_to_fetch),
            available: cache::available(&run.shared.cache),
        },
        Err(_) => error,
    }
}
