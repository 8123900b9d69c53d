//! Where a file's bytes are, and what they must be.

use std::fmt;

use reqwest::{
    Method,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap},
};
use url::Url;

use crate::{
    BlobId, CommitHash, HubClient, HubError, RepoId, RepoPath, Revision, Token,
    endpoint::bare,
    http::{Answer, Call, ForeignRedirect, Subject},
};

/// A file of a revision, as the Hub describes it before a byte of it is fetched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolvedFile {
    /// The commit that the revision stands for.
    pub commit: CommitHash,
    /// What identifies the content; `None` if the server does not say.
    pub blob: Option<BlobId>,
    /// The content's size in bytes; `None` if the server does not say.
    pub size: Option<u64>,
    /// Where the bytes are. It may be signed, and valid for a short time only.
    pub location: Location,
    token: Option<Token>,
}

impl ResolvedFile {
    /// The token to send along with a request for [`ResolvedFile::location`]; `None` if nobody is
    /// logged in or the address does not belong to the Hub.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }
}

/// An address whose query may be a signature: `Debug` and `Display` leave the query out.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(Url);

impl Location {
    /// The whole address.
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl From<Location> for Url {
    fn from(location: Location) -> Self {
        location.0
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bare(&self.0))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl HubClient {
    /// Asks where a file's bytes are, without fetching them.
    ///
    /// Redirects within the Hub are followed, as after a renaming; a redirect to another host, where
    /// large files lie, is the answer.
    ///
    /// # Errors
    /// [`HubError::FileNotFound`], [`HubError::NotAHub`] if the answer names no commit, and those of
    /// [`HubClient::model_info`].
    pub async fn resolve(
        &self,
        repo: &RepoId,
        revision: &Revision,
        path: &RepoPath,
    ) -> Result<ResolvedFile, HubError> {
        let call = Call {
            method: Method::HEAD,
            foreign: ForeignRedirect::Stop,
            timeout: self.timeouts().metadata,
            ..self.file_call(repo, revision, path, "find")?
        };
        self.ask(&call, |answer| async move {
            self.read_resolved(&answer, revision)
        })
        .await
    }

    fn read_resolved(
        &self,
        answer: &Answer<'_>,
        revision: &Revision,
    ) -> Result<ResolvedFile, HubError> {
        let headers = answer.headers();
        let commit = match text(headers, "x-repo-commit") {
            Some(commit) => Some(CommitHash::parse(commit)?),
            // A commit stands for itself.
            None => revision.as_commit(),
        };
        let commit = commit.ok_or_else(|| HubError::NotAHub {
            host: answer.url.origin().ascii_serialization(),
            reason: "it names no commit for the file (X-Repo-Commit)",
        })?;
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str()));
        // A redirect's own length is that of its text, and a compressed body's is not the file's.
        let own_length = answer.foreign.is_none() && !is_encoded(headers);
        let size = number(headers, "x-linked-size").or_else(|| {
            own_length
                .then(|| number(headers, CONTENT_LENGTH.as_str()))
                .flatten()
        });
        let location = answer.foreign.as_ref().unwrap_or(&answer.url).clone();
        Ok(ResolvedFile {
            commit,
            blob: etag.and_then(BlobId::from_etag),
            size,
            token: self.transport().token_for(&location).cloned(),
            location: Location(location),
        })
    }

    /// Reads a small file: a card, a configuration.
    ///
    /// # Errors
    /// [`HubError::Decode`] if it is longer than `most` bytes, and those of [`HubClient::resolve`]
    /// except [`HubError::NotAHub`].
    pub async fn read_file(
        &self,
        repo: &RepoId,
        revision: &Revision,
        path: &RepoPath,
        most: usize,
    ) -> Result<Vec<u8>, HubError> {
        let call = self.file_call(repo, revision, path, "read")?;
        self.ask(&call, |answer| answer.body(most)).await
    }

    fn file_call(
        &self,
        repo: &RepoId,
        revision: &Revision,
        path: &RepoPath,
        verb: &str,
    ) -> Result<Call, HubError> {
        let url = self.endpoint().resolve(repo, revision, path)?;
        let subject = Subject::new(format!("{verb} {path} of {repo}"))
            .of_repo(repo)
            .at(revision)
            .of_file(path);
        Ok(Call::get(url, subject))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}

fn is_encoded(headers: &HeaderMap) -> bool {
    text(headers, CONTENT_ENCODING.as_str()).is_some_and(|encoding| encoding != "identity")
}
