//! What a commit consists of, as the Hub lists it.

use std::collections::BTreeMap;

use crate::{Digest, FilePath};

/// All files of a commit, fetched or not.
///
/// A listing in the cache is a note that some client left: it says what to expect, and is no proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    files: BTreeMap<FilePath, ListedFile>,
}

/// One file of a [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    size: u64,
    git_sha1: [u8; 20],
    sha256: Option<[u8; 32]>,
    xet_hash: Option<String>,
}

impl Listing {
    /// Adds a file.
    pub fn insert(&mut self, path: FilePath, file: ListedFile) {
        self.files.insert(path, file);
    }

    /// The files, by their paths.
    pub fn files(&self) -> impl Iterator<Item = (&FilePath, &ListedFile)> {
        self.files.iter()
    }

    /// One file.
    pub fn get(&self, path: &FilePath) -> Option<&ListedFile> {
        self.files.get(path)
    }
}

impl ListedFile {
    /// A file of so many bytes, and git's hash of what git has in its place: the content itself, or
    /// the pointer into large-file storage.
    pub fn new(size: u64, git_sha1: [u8; 20]) -> Self {
        Self {
            size,
            git_sha1,
            sha256: None,
            xet_hash: None,
        }
    }

    /// The same, where the content lies in large-file storage.
    #[must_use]
    pub fn in_large_file_storage(mut self, sha256: [u8; 32]) -> Self {
        self.sha256 = Some(sha256);
        self
    }

    pub(crate) fn with_xet_hash(mut self, hash: String) -> Self {
        self.xet_hash = Some(hash);
        self
    }

    /// Bytes of the content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of the content.
    pub fn digest(&self) -> Digest {
        match self.sha256 {
            Some(sha256) => Digest::Sha256(sha256),
            None => Digest::GitSha1(self.git_sha1),
        }
    }

    pub(crate) fn git(&self) -> Digest {
        Digest::GitSha1(self.git_sha1)
    }

    pub(crate) fn sha256(&self) -> Option<Digest> {
        self.sha256.map(Digest::Sha256)
    }

    pub(crate) fn xet_hash(&self) -> Option<&str> {
        self.xet_hash.as_deref()
    }
}
