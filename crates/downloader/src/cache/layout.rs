//! Where things lie in a Hugging Face cache.
//!
//! The layout is that of Python's `huggingface_hub` 2.4, so that either side finds what the other
//! fetched:
//!
//! ```text
//! CACHEDIR.TAG
//! .locks/models--org--name/<blob>.lock
//! models--org--name/refs/main                     a commit, without a line end
//! models--org--name/blobs/<blob>
//! models--org--name/snapshots/<commit>/<path>     -> ../../blobs/<blob>
//! ```
//!
//! Unfinished files are ours alone: `blobs/<blob>.<16 hex>.mlxe.incomplete`, with a journal beside
//! each. Their suffix ends in `.incomplete`, so that Python's tools list and prune them.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{BlobName, Commit, Error, FilePath, RefName, RepoFolder};

/// Ends the names of partial files.
pub(crate) const PARTIAL_SUFFIX: &str = ".mlxe.incomplete";
/// Ends the names of their journals.
pub(crate) const JOURNAL_SUFFIX: &str = ".mlxe.journal";
/// Ends the names of files that will be renamed in a moment.
pub(crate) const TEMPORARY_SUFFIX: &str = ".mlxe.tmp";

/// The standard's signature, then a remark.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This file marks a cache folder; backup programs may leave it out.\n\
    # See https://bford.info/cachedir/\n";

/// The folders of one repository in a cache.
#[derive(Debug, Clone)]
pub(crate) struct RepoLayout {
    pub(crate) cache: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) name: RepoFolder,
}

impl RepoLayout {
    pub(crate) fn new(cache: &Path, name: &RepoFolder) -> Self {
        Self {
            cache: cache.to_owned(),
            root: cache.join(name.as_str()),
            name: name.clone(),
        }
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn blob(&self, name: &BlobName) -> PathBuf {
        self.blobs().join(name.as_str())
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(crate) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.snapshots().join(commit.as_str())
    }

    pub(crate) fn pointer(&self, commit: &Commit, path: &FilePath) -> PathBuf {
        let mut pointer = self.snapshot(commit);
        pointer.extend(path.segments());
        pointer
    }

    pub(crate) fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    pub(crate) fn reference(&self, name: &RefName) -> PathBuf {
        let mut path = self.refs();
        path.extend(name.as_str().split('/'));
        path
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.cache.join(".locks").join(self.name.as_str())
    }

    pub(crate) fn lock(&self, blob: &BlobName) -> PathBuf {
        self.locks().join(format!("{blob}.lock"))
    }

    /// Makes the folders that a download needs.
    pub(crate) fn create(&self, commit: &Commit) -> Result<(), Error> {
        for folder in [self.blobs(), self.snapshot(commit), self.locks()] {
            fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        }
        let tag = self.cache.join("CACHEDIR.TAG");
        if !tag.exists() {
            write_whole(&tag, CACHEDIR_TAG.as_bytes())?;
        }
        Ok(())
    }

    /// Lets a reference point at a commit; left alone where it does already.
    pub(crate) fn write_ref(&self, name: &RefName, commit: &Commit) -> Result<(), Error> {
        let path = self.reference(name);
        if fs::read_to_string(&path).is_ok_and(|now| now == commit.as_str()) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        write_whole(&path, commit.as_str().as_bytes())
    }

    /// The commit that a reference points at.
    pub(crate) fn read_ref(&self, name: &RefName) -> Option<Commit> {
        let text = fs::read_to_string(self.reference(name)).ok()?;
        Commit::new(text.trim()).ok()
    }
}

/// Writes a file so that it is there with all of `contents` or not at all.
pub(crate) fn write_whole(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let temporary = temporary_beside(path);
    let write = || -> io::Result<()> {
        let mut file = fs::File::create_new(&temporary)?;
        file.write_all(contents)?;
        file.sync_data()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // The file's own error is the one to report.
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, e)
    })
}

/// A name beside `path` that nobody else uses.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}{TEMPORARY_SUFFIX}", random_id()));
    path.with_file_name(name)
}

/// 16 random hexadecimal digits.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // Seeded by the operating system; what is hashed only keeps two calls apart.
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        bytes = RandomState::new()
            .hash_one(std::process::id())
            .to_le_bytes();
    }
    format!("{:016x}", u64::from_le_bytes(bytes))
}

/// Makes the names in a folder durable. Best effort: not every file system can.
pub(crate) fn sync_folder(folder: &Path) {
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}
