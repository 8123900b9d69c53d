//! Models that are in use, which no clean-up touches.
//!
//! Whoever uses a model holds a shared lock and leaves a note with the number of its process. A
//! clean-up asks for the exclusive lock and reads the notes, so that it is careful even where locks
//! do nothing.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    RepoLayout,
    layout::{random_id, write_whole},
    owner::Owner,
};
use crate::Error;

const LOCK: &str = "use.mlxe.lock";
const NOTE_PREFIX: &str = "use.";
const NOTE_SUFFIX: &str = ".mlxe.owner";
/// A note of another machine or container counts for so long.
const FOREIGN_NOTE: Duration = Duration::from_hours(24);

/// Keeps a model from being cleaned up, for as long as it lives.
#[derive(Debug)]
pub struct InUse {
    _lock: Option<File>,
    note: Option<PathBuf>,
}

impl InUse {
    /// Begins to use a model. Best effort: a cache that can't be written can't be cleaned up either.
    pub(crate) fn begin(layout: &RepoLayout) -> Self {
        let folder = layout.locks();
        if let Err(e) = fs::create_dir_all(&folder) {
            tracing::debug!(path = %folder.display(), error = %e, "no note of use in this cache");
            return Self {
                _lock: None,
                note: None,
            };
        }
        let lock = open_lock(&folder).ok().filter(|lock| {
            // A clean-up under way is short, and after it the model is fetched anew.
            lock.lock_shared().is_ok()
        });
        let note = folder.join(format!("{NOTE_PREFIX}{}{NOTE_SUFFIX}", random_id()));
        let owner = serde_json::to_vec(&Owner::this_process()).unwrap_or_default();
        let note = write_whole(&note, &owner).is_ok().then_some(note);
        Self { _lock: lock, note }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(note) = &self.note {
            // It may be gone with its cache.
            let _ = fs::remove_file(note);
        }
    }
}

fn open_lock(folder: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(LOCK))
}

/// The right to delete from a repository, while nobody uses it.
#[derive(Debug)]
pub(crate) struct Exclusive {
    _lock: Option<File>,
}

impl Exclusive {
    pub(crate) fn take(layout: &RepoLayout) -> Result<Self, Error> {
        let in_use = |by: String| Error::InUse {
            repo: layout.name.clone(),
            by,
        };
        let folder = layout.locks();
        let Ok(entries) = fs::read_dir(&folder) else {
            // Nobody has ever locked anything here.
            return Ok(Self { _lock: None });
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(NOTE_SUFFIX) {
                if let Some(by) = user(&path) {
                    return Err(in_use(by));
                }
            } else if name.ends_with(".lock") && name != LOCK && is_locked(&path) {
                return Err(in_use("a process that downloads it".to_owned()));
            }
        }
        let lock = open_lock(&folder).map_err(|e| Error::io("open", &folder.join(LOCK), e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(in_use("another process".to_owned())),
            Err(TryLockError::Error(_)) => Ok(Self { _lock: None }),
        }
    }
}

/// Who wrote a note, if they may still be there; the note of a process that has ended is removed.
fn user(note: &Path) -> Option<String> {
    let text = fs::read(note).ok()?;
    let owner: Option<Owner> = serde_json::from_slice(&text).ok();
    let gone = match &owner {
        Some(owner) if owner.shares_realm() => owner.is_certainly_gone(),
        _ => fs::metadata(note)
            .and_then(|about| about.modified())
            .is_ok_and(|then| {
                SystemTime::now()
                    .duration_since(then)
                    .is_ok_and(|age| age > FOREIGN_NOTE)
            }),
    };
    if gone {
        let _ = fs::remove_file(note);
        return None;
    }
    Some(owner.map_or_else(|| "another process".to_owned(), |owner| owner.describe()))
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
