//! Waiting for another process that fetches the same blob.
//!
//! The lock saves double work. Nothing goes wrong without it, so where it can't be taken (a file
//! system without locks, a process that hangs) the work goes on after a while.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use super::{RepoLayout, layout::PARTIAL_SUFFIX, scan::on_disk};
use crate::{BlobName, Error};

const INTERVAL: Duration = Duration::from_millis(50);

/// The right to fetch a blob, as far as locks work here. Dropping it gives the lock back.
#[derive(Debug)]
pub(crate) struct BlobLock {
    _file: Option<File>,
}

impl BlobLock {
    /// Takes the lock, waiting for as long as its holder makes progress.
    ///
    /// While it waits it tells `watch` how many bytes the other process has.
    pub(crate) async fn acquire(
        layout: &RepoLayout,
        blob: &BlobName,
        patience: Duration,
        mut watch: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let path = layout.lock(blob);
        let file = match open(&path) {
            Ok(file) => file,
            // A cache of another user, perhaps: what can be written decides later.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(Self { _file: None });
            }
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let mut others = Others::default();
        let mut moved = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => {
                    tracing::debug!(path = %path.display(), error = %e, "locks do not work here");
                    return Ok(Self { _file: None });
                }
            }
            let now = Others::of(layout, blob);
            watch(now.bytes);
            if now != others {
                others = now;
                moved = Instant::now();
            }
            if moved.elapsed() >= patience {
                tracing::warn!(
                    path = %path.display(),
                    "the process that holds this lock makes no progress; going on without it"
                );
                return Ok(Self { _file: None });
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// Opens a lock file, which other users of the cache may lock too.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                // As Python's client does. The lock works without it for this user.
                let _ = file.set_permissions(fs::Permissions::from_mode(0o664));
            }
            Ok(file)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(e) => Err(e),
    }
}

/// What other processes, of this project or of Python's, have of a blob.
#[derive(Debug, Default, PartialEq, Eq)]
struct Others {
    bytes: u64,
    newest: Option<SystemTime>,
}

impl Others {
    fn of(layout: &RepoLayout, blob: &BlobName) -> Self {
        let mut others = Self::default();
        let Ok(entries) = fs::read_dir(layout.blobs()) else {
            return others;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = name.ends_with(PARTIAL_SUFFIX);
            if !name.starts_with(blob.as_str()) || !(ours || name.ends_with(".incomplete")) {
                continue;
            }
            if let Ok(about) = entry.metadata() {
                others.bytes = others.bytes.max(on_disk(&about));
                others.newest = others.newest.max(about.modified().ok());
            }
        }
        others
    }
}
