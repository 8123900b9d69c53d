//! One file, from its source to its place in a snapshot.

use std::{fs, path::Path, sync::Arc};

use super::{
    Run, blocking,
    hashing::Following,
    leftovers::remove_leftovers,
    partial::Partial,
    parts::{Fault, Transfer, TransferState},
    place::{Place, Whereabouts},
};
use crate::{
    BlobName, Commit, Digest, Error, FilePath, PlannedFile,
    cache::{BlobLock, Links, RepoLayout, link},
    control::Listener,
    progress::{FileState, FileTally},
};

/// How often a file that changes at its server is begun anew.
const MOST_RESTARTS: usize = 3;
/// How often a partial file that the disk has damaged is mended.
const MOST_REPAIRS: usize = 3;

/// How a file came into the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    WasThere,
    Fetched,
}

/// Where a file goes.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) layout: RepoLayout,
    pub(crate) commit: Commit,
}

/// Makes sure that a file is complete and visible in its snapshot.
pub(crate) async fn fetch_file(
    run: &Run,
    destination: &Destination,
    file: &PlannedFile,
    tally: &FileTally,
    listener: &Listener,
) -> Result<(Came, u64), Error> {
    if let Some(size) = is_visible(destination, file).await? {
        tally.set_size(size);
        tally.set_bytes(size);
        tally.set_state(FileState::Done);
        return Ok((Came::WasThere, size));
    }
    let place = Whereabouts::new(file, run.options());
    let job = FileJob {
        run,
        destination,
        file,
        tally,
        listener,
        place: &place,
    };
    let mut restarts = 0;
    let (came, size) = loop {
        let (name, size) = job.identify().await?;
        match job.fetch_blob(&name, size).await {
            Ok(came) => match job.show(name, came).await {
                Ok(size) => break (came, size),
                // Without links a blob goes into the first snapshot that wants it.
                Err(error) if error.is_not_found() && restarts < MOST_RESTARTS => {
                    if let Some(size) = is_visible(destination, file).await? {
                        break (came, size);
                    }
                    restarts += 1;
                    continue;
                }
                Err(error) => return Err(error),
            },
            Err(Fault::Changed) if restarts < MOST_RESTARTS => restarts += 1,
            Err(Fault::Changed) => {
                return Err(Error::Changed {
                    path: file.path.clone(),
                });
            }
            Err(Fault::Interrupted) => return Err(Error::Cancelled),
            Err(Fault::Fatal(error) | Fault::Again { error, .. }) => return Err(error),
            Err(Fault::RangeIgnored) => return Err(Error::Interrupted),
        }
        // A changed answer of the source may be a passing one.
        if let Ok(now) = place.now(listener).await {
            place.forget(now.edition).await;
        }
    };
    tally.set_size(size);
    tally.set_bytes(size);
    tally.set_state(FileState::Done);
    Ok((came, size))
}

/// The size of the file, if the snapshot has it already.
async fn is_visible(destination: &Destination, file: &PlannedFile) -> Result<Option<u64>, Error> {
    let pointer = destination.layout.pointer(&destination.commit, &file.path);
    let (size, name) = (file.size, file.blob_name());
    blocking(move || Ok(visible_size(&pointer, size, name.as_ref()))).await
}

/// The size of a snapshot's file, if it is what it should be as far as that can be told at a glance.
pub(crate) fn visible_size(
    pointer: &Path,
    size: Option<u64>,
    name: Option<&BlobName>,
) -> Option<u64> {
    let there = fs::metadata(pointer).ok().filter(fs::Metadata::is_file)?;
    if size.is_some_and(|size| size != there.len()) {
        return None;
    }
    // A link names the content it shows.
    if let (Some(name), Ok(target)) = (name, fs::read_link(pointer))
        && target.file_name() != Some(name.as_str().as_ref())
    {
        return None;
    }
    Some(there.len())
}

struct FileJob<'a> {
    run: &'a Run,
    destination: &'a Destination,
    file: &'a PlannedFile,
    tally: &'a FileTally,
    listener: &'a Listener,
    place: &'a Whereabouts<'a>,
}

impl FileJob<'_> {
    /// What the content is called in the cache, and its size where that is known.
    async fn identify(&self) -> Result<(BlobName, Option<u64>), Error> {
        if let Some(name) = self.file.blob_name() {
            return Ok((name, self.file.size));
        }
        self.listener.ready().await?;
        let place: Place = self.place.now(self.listener).await?;
        let name = place.blob_name().ok_or_else(|| Error::Unidentified {
            path: self.file.path.clone(),
        })??;
        Ok((name, self.file.size.or(place.size)))
    }

    /// Makes sure that a blob is in the cache.
    async fn fetch_blob(&self, name: &BlobName, size: Option<u64>) -> Result<Came, Fault> {
        let layout = &self.destination.layout;
        if self.has_blob(name, size).await? {
            return Ok(Came::WasThere);
        }
        let patience = self.run.options().lock_patience;
        let waited = BlobLock::acquire(layout, name, patience, |bytes| {
            self.tally.set_state(FileState::WaitingForOther);
            self.tally.set_bytes(bytes);
        });
        let _lock = self.listener.unless_stopped(waited).await??;
        // Whoever had the lock may have done the work.
        if self.has_blob(name, size).await?
            || is_visible(self.destination, self.file).await?.is_some()
        {
            return Ok(Came::WasThere);
        }
        self.tally.set_state(FileState::Transferring);
        let state = TransferState::default();
        let mut mismatch = None;
        let mut repairs = 0;
        let mut partial = self.open_partial(name, size).await?;
        loop {
            let got = match self.transfer(name, &partial, &state).await {
                Ok(got) => got,
                Err(Fault::Changed) => {
                    // What is there can't be told from what the server has now.
                    if name.digest().is_none() {
                        partial.discard();
                    }
                    return Err(Fault::Changed);
                }
                Err(fault) => return Err(fault),
            };
            let expected = name.digest();
            if got == expected {
                if self.publish(&partial, name, size).await? {
                    return Ok(Came::Fetched);
                }
                partial = self.open_partial(name, size).await?;
                continue;
            }
            let (checked, lost) = self.recheck(&partial, name).await?;
            if lost > 0 && repairs < MOST_REPAIRS {
                tracing::warn!(path = %self.file.path, bytes = lost, "the disk lost bytes of a partial file; fetching them again");
                repairs += 1;
                partial = checked;
                continue;
            }
            checked.discard();
            if let (Some(expected), Some(got), Some(_)) = (expected, got, mismatch) {
                return Err(Fault::Fatal(Error::DigestMismatch {
                    path: self.file.path.clone(),
                    expected,
                    got,
                }));
            }
            tracing::warn!(path = %self.file.path, "arrived damaged; fetching it once more");
            mismatch = got;
            // Another server of the service may have it right.
            let now = self.place.now(self.listener).await?;
            self.place.forget(now.edition).await;
            partial = self.open_partial(name, size).await?;
        }
    }

    async fn has_blob(&self, name: &BlobName, size: Option<u64>) -> Result<bool, Error> {
        let (layout, name) = (self.destination.layout.clone(), name.clone());
        blocking(move || {
            let there = fs::metadata(layout.blob(&name))
                .is_ok_and(|b| b.is_file() && size.is_none_or(|size| size == b.len()));
            if there {
                // A process may have been killed between giving the blob its name and this.
                remove_leftovers(&layout, &name);
            }
            Ok(there)
        })
        .await
    }

    async fn open_partial(
        &self,
        name: &BlobName,
        size: Option<u64>,
    ) -> Result<Arc<Partial>, Error> {
        let (layout, name) = (self.destination.layout.clone(), name.clone());
        let partial = blocking(move || Partial::open(&layout, &name, size)).await?;
        if let Some(size) = partial.size() {
            self.tally.set_size(size);
        }
        self.tally.set_bytes(partial.bytes());
        Ok(Arc::new(partial))
    }

    /// Brings all bytes; returns the digest of what then lies on the disk.
    async fn transfer(
        &self,
        name: &BlobName,
        partial: &Arc<Partial>,
        state: &TransferState,
    ) -> Result<Option<Digest>, Fault> {
        let following = name
            .digest()
            .map(|expected| Following::start(partial, expected));
        let transfer = Transfer {
            run: self.run,
            file: self.file,
            tally: self.tally,
            place: self.place,
            partial: Arc::clone(partial),
            verifiable: following.is_some(),
            state,
        };
        let completed = transfer.complete(self.listener).await;
        match completed {
            Ok(()) => self.tally.set_state(FileState::Verifying),
            Err(_) => partial.close(),
        }
        // Waited for even after a fault: whoever comes next may want the partial file.
        let digest = match following {
            Some(following) => following.finish().await,
            None => Ok(None),
        };
        completed?;
        Ok(digest?)
    }

    async fn publish(
        &self,
        partial: &Arc<Partial>,
        name: &BlobName,
        size: Option<u64>,
    ) -> Result<bool, Error> {
        let (layout, blob) = (self.destination.layout.clone(), name.clone());
        let partial = Arc::clone(partial);
        let durable = self.run.options().durable;
        let published = blocking(move || partial.publish(&layout, &blob, durable)).await?;
        Ok(published || self.has_blob(name, size).await?)
    }

    async fn recheck(
        &self,
        partial: &Arc<Partial>,
        name: &BlobName,
    ) -> Result<(Arc<Partial>, u64), Error> {
        let (layout, name) = (self.destination.layout.clone(), name.clone());
        let partial = Arc::clone(partial);
        let (checked, lost) = blocking(move || partial.recheck(&layout, &name)).await?;
        Ok((Arc::new(checked), lost))
    }

    /// Makes the blob visible in the snapshot; returns its size.
    async fn show(&self, name: BlobName, came: Came) -> Result<u64, Error> {
        let Destination { layout, commit } = self.destination.clone();
        let path: FilePath = self.file.path.clone();
        let links = Links {
            symbolic: self.run.options().symlinks,
            hard: true,
        };
        let is_new = came == Came::Fetched;
        blocking(move || {
            link(&layout, &commit, &path, &name, links, is_new)?;
            let pointer = layout.pointer(&commit, &path);
            fs::metadata(&pointer)
                .map(|about| about.len())
                .map_err(|e| Error::io("read", &pointer, e))
        })
        .await
    }
}
