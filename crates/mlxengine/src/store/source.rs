//! Where the downloader gets a file's bytes: the Hub, asked at the moment they are needed.

use downloader::{Location, Source, SourceError};
use futures_core::future::BoxFuture;
use hub_client::{BlobId, HubClient, HubError, RepoId, RepoPath, Revision};

/// A file of one commit on the Hub.
#[derive(Debug)]
pub(super) struct HubSource {
    /// A client that does not try again by itself: the downloader does.
    pub(super) hub: HubClient,
    pub(super) repo: RepoId,
    pub(super) commit: Revision,
    pub(super) path: RepoPath,
}

impl Source for HubSource {
    fn locate(&self) -> BoxFuture<'_, Result<Location, SourceError>> {
        Box::pin(async move {
            let found = self
                .hub
                .resolve(&self.repo, &self.commit, &self.path)
                .await
                .map_err(why)?;
            let mut location = Location::new(found.location.as_url().as_str())?;
            if let Some(token) = found.token() {
                let value = format!("Bearer {}", token.expose());
                location = location.header("Authorization", &value)?;
            }
            if let Some(size) = found.size {
                location = location.size(size);
            }
            Ok(match found.blob {
                Some(BlobId::Opaque(etag)) => location.etag(etag),
                Some(blob) => location.etag(blob.to_string()),
                None => location,
            })
        })
    }
}

fn why(error: HubError) -> SourceError {
    let suggestion = error.suggestion();
    let retry = error.is_retryable().then(|| error.retry_after());
    match retry {
        Some(after) => SourceError::retry(error, after),
        None => SourceError::fatal(error),
    }
    .with_suggestion(suggestion)
}
