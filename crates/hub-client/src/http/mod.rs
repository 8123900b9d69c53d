//! Requests on the wire: attempts, redirects, retries, and what an answer means.

mod classify;
mod proxies;
mod retry;
mod transport;
mod warnings;

pub(crate) use retry::retrying;
pub(crate) use transport::{Answer, Call, ForeignRedirect, Transport};
pub(crate) use warnings::Warnings;

use crate::{RepoId, RepoPath, Revision, rate_limit::Bucket};

/// What a request is about, for errors: a status alone does not say what was not found.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// What the caller wants, as a verb phrase: "read the files of org/name".
    pub(crate) operation: String,
    pub(crate) repo: Option<RepoId>,
    pub(crate) revision: Option<Revision>,
    pub(crate) path: Option<RepoPath>,
    pub(crate) bucket: Bucket,
}

impl Subject {
    pub(crate) fn new(operation: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            repo: None,
            revision: None,
            path: None,
            bucket: Bucket::Api,
        }
    }

    pub(crate) fn of_repo(mut self, repo: &RepoId) -> Self {
        self.repo = Some(repo.clone());
        self
    }

    pub(crate) fn at(mut self, revision: &Revision) -> Self {
        self.revision = Some(revision.clone());
        self
    }

    pub(crate) fn of_file(mut self, path: &RepoPath) -> Self {
        self.path = Some(path.clone());
        self.bucket = Bucket::Resolvers;
        self
    }
}
