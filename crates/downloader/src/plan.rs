//! What is to be fetched, as a value.

use std::{collections::BTreeSet, sync::Arc};

use crate::{BlobName, Commit, Digest, FilePath, Listing, RefName, RepoFolder, Source};

/// One file of a plan.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    pub(crate) path: FilePath,
    pub(crate) size: Option<u64>,
    pub(crate) digest: Option<Digest>,
    pub(crate) source: Arc<dyn Source>,
}

impl PlannedFile {
    /// A file whose size and digest are not known.
    ///
    /// The ETag that its source gives then names its content, and verifies it if it is a digest.
    pub fn new(path: FilePath, source: Arc<dyn Source>) -> Self {
        Self {
            path,
            size: None,
            digest: None,
            source,
        }
    }

    /// Says the size in bytes.
    #[must_use]
    pub fn with_size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Says the digest, by which the content is named in the cache and verified.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The path inside the repository.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// The size in bytes, if it is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The digest, if it is known.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    pub(crate) fn blob_name(&self) -> Option<BlobName> {
        self.digest.map(BlobName::from)
    }
}

/// Files of one commit of one repository, to be fetched into a cache.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) repo: RepoFolder,
    pub(crate) commit: Commit,
    pub(crate) refs: Vec<RefName>,
    pub(crate) listing: Option<Listing>,
    pub(crate) files: Vec<PlannedFile>,
}

/// Why files can't be one plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Two files have one path.
    #[error("the plan names {path} twice")]
    Duplicate {
        /// The path.
        path: FilePath,
    },
    /// A path is a file and a folder.
    #[error("the plan has {path} both as a file and as a folder")]
    FileAndFolder {
        /// The path.
        path: FilePath,
    },
}

impl Plan {
    /// Puts files together; the order is that in which they are begun.
    pub fn new(
        repo: RepoFolder,
        commit: Commit,
        files: impl IntoIterator<Item = PlannedFile>,
    ) -> Result<Self, PlanError> {
        let files: Vec<PlannedFile> = files.into_iter().collect();
        let mut paths = BTreeSet::new();
        for file in &files {
            if !paths.insert(file.path.as_str()) {
                return Err(PlanError::Duplicate {
                    path: file.path.clone(),
                });
            }
        }
        for file in &files {
            let parents = file.path.as_str().match_indices('/').map(|(at, _)| at);
            for at in parents {
                if file
                    .path
                    .as_str()
                    .get(..at)
                    .is_some_and(|p| paths.contains(p))
                {
                    return Err(PlanError::FileAndFolder {
                        path: file.path.clone(),
                    });
                }
            }
        }
        Ok(Self {
            repo,
            commit,
            refs: Vec::new(),
            listing: None,
            files,
        })
    }

    /// Lets a branch or tag point at the commit when all files are there.
    #[must_use]
    pub fn with_ref(mut self, name: RefName) -> Self {
        self.refs.push(name);
        self
    }

    /// Says what else the commit has. The cache notes it where Python's client looks for it, so
    /// that either can tell offline whether a file is missing or does not exist.
    #[must_use]
    pub fn with_listing(mut self, listing: Listing) -> Self {
        self.listing = Some(listing);
        self
    }

    /// The repository's folder.
    pub fn repo(&self) -> &RepoFolder {
        &self.repo
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The files.
    pub fn files(&self) -> &[PlannedFile] {
        &self.files
    }
}
