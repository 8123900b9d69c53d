//! Making a blob visible under its path in a snapshot.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::layout::{RepoLayout, temporary_beside};
use crate::{BlobName, Commit, Error, FilePath};

/// Lets `path` of a snapshot show a blob: as a relative link, or as a copy where links fail.
///
/// Whatever was there is replaced in one step.
pub(crate) fn link(
    layout: &RepoLayout,
    commit: &Commit,
    path: &FilePath,
    blob: &BlobName,
    symlinks: bool,
) -> Result<(), Error> {
    let pointer = layout.pointer(commit, path);
    if let Some(folder) = pointer.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    }
    let target = relative_target(path, blob);
    if symlinks {
        if fs::read_link(&pointer).is_ok_and(|now| now == target) {
            return Ok(());
        }
        match replace(&pointer, |temporary| symlink(&target, temporary)) {
            Ok(()) => return Ok(()),
            // No reason to think that a copy would fit.
            Err(e) if crate::error::is_disk_full(&e) => {
                return Err(Error::io("link", &pointer, e));
            }
            Err(e) => {
                tracing::debug!(path = %pointer.display(), error = %e, "no symbolic link; copying");
            }
        }
    }
    let blob = layout.blob(blob);
    replace(&pointer, |temporary| {
        fs::copy(&blob, temporary)?;
        fs::File::open(temporary)?.sync_data()
    })
    .map_err(|e| Error::io("copy to", &pointer, e))
}

/// `../../blobs/<blob>`, with one more `../` for each folder inside the snapshot.
fn relative_target(path: &FilePath, blob: &BlobName) -> PathBuf {
    let mut target = PathBuf::from("..");
    for _ in path.segments() {
        target.push("..");
    }
    target.push("blobs");
    target.push(blob.as_str());
    target
}

/// Makes something under a temporary name and moves it into place.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_beside(path);
    make(&temporary)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| {
            // The error that is reported is the first one.
            let _ = fs::remove_file(&temporary);
        })
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}
