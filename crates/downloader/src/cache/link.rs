//! Making a blob visible under its path in a snapshot.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::layout::{RepoLayout, temporary_beside};
use crate::{BlobName, Commit, Error, FilePath};

/// Which ways there are to show a blob in a snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links {
    /// Symbolic links.
    pub(crate) symbolic: bool,
    /// Other names for the same file.
    pub(crate) hard: bool,
}

/// Lets `path` of a snapshot show a blob: by a relative link, or as a file of its own.
///
/// Such a file takes no further room where the file system can give one file two names. Where it
/// can't, a blob that `is_new`, and so is shown by nothing else yet, is moved, as Python's client
/// does; any other one is copied. Whatever was there is replaced in one step.
pub(crate) fn link(
    layout: &RepoLayout,
    commit: &Commit,
    path: &FilePath,
    blob: &BlobName,
    links: Links,
    is_new: bool,
) -> Result<(), Error> {
    let pointer = layout.pointer(commit, path);
    if let Some(folder) = pointer.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    }
    let target = relative_target(path, blob);
    if links.symbolic {
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
                tracing::debug!(path = %pointer.display(), error = %e, "no symbolic link");
            }
        }
    }
    let blob = layout.blob(blob);
    // A blob may itself be a link into the store that Python's client shares between repositories.
    let is_file = fs::symlink_metadata(&blob).is_ok_and(|about| about.is_file());
    if links.hard && is_file {
        match replace(&pointer, |temporary| fs::hard_link(&blob, temporary)) {
            Ok(()) => return Ok(()),
            Err(e) => {
                tracing::debug!(path = %pointer.display(), error = %e, "no second name for a file");
            }
        }
    }
    if is_new && is_file {
        return fs::rename(&blob, &pointer).map_err(|e| Error::io("move", &blob, e));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RepoFolder;

    const FILE: Links = Links {
        symbolic: false,
        hard: false,
    };

    struct Cache {
        _folder: tempfile::TempDir,
        layout: RepoLayout,
        commit: Commit,
        blob: BlobName,
    }

    impl Cache {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let repo = RepoFolder::of_model("org/model").unwrap();
            let layout = RepoLayout::new(folder.path(), &repo);
            let commit = Commit::new(&"a".repeat(40)).unwrap();
            layout.create(&commit).unwrap();
            let blob = BlobName::new("b10b").unwrap();
            fs::write(layout.blob(&blob), b"content").unwrap();
            Self {
                _folder: folder,
                layout,
                commit,
                blob,
            }
        }

        /// What the snapshot then shows.
        fn show(&self, path: &str, links: Links, is_new: bool) -> Result<Vec<u8>, Error> {
            let path = FilePath::new(path).unwrap();
            link(&self.layout, &self.commit, &path, &self.blob, links, is_new)?;
            let pointer = self.layout.pointer(&self.commit, &path);
            assert!(!pointer.is_symlink());
            Ok(fs::read(pointer).unwrap())
        }
    }

    #[test]
    fn a_file_with_two_names_takes_its_room_once() {
        let cache = Cache::new();
        let links = Links {
            symbolic: false,
            hard: true,
        };
        assert_eq!(cache.show("a/one", links, true).unwrap(), b"content");
        assert_eq!(cache.show("two", links, false).unwrap(), b"content");
        fs::write(cache.layout.blob(&cache.blob), b"CONTENT").unwrap();
        let two = cache.layout.snapshot(&cache.commit).join("two");
        assert_eq!(fs::read(two).unwrap(), b"CONTENT", "it is a copy");
    }

    #[test]
    fn without_any_links_a_new_blob_is_moved_and_an_old_one_copied() {
        let cache = Cache::new();
        assert_eq!(cache.show("old", FILE, false).unwrap(), b"content");
        assert!(cache.layout.blob(&cache.blob).exists());
        assert_eq!(cache.show("new", FILE, true).unwrap(), b"content");
        assert!(!cache.layout.blob(&cache.blob).exists());
        assert!(cache.show("gone", FILE, false).unwrap_err().is_not_found());
    }
}
