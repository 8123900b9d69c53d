//! Where a file is now, shared by all its connections.

use std::time::Duration;

use reqwest::{Url, header::HeaderMap};
use tokio::sync::Mutex;

use super::tries::Tries;
use crate::{BlobName, Error, Location, PlannedFile, control::Listener, options::Options};

/// Asks a file's source, and remembers what it said.
#[derive(Debug)]
pub(crate) struct Whereabouts<'a> {
    file: &'a PlannedFile,
    options: &'a Options,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    location: Option<Location>,
    /// Counts the answers of the source.
    edition: u64,
}

/// One answer of the source.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) edition: u64,
}

impl<'a> Whereabouts<'a> {
    pub(crate) fn new(file: &'a PlannedFile, options: &'a Options) -> Self {
        Self {
            file,
            options,
            known: Mutex::default(),
        }
    }

    /// The newest answer; the source is asked where there is none.
    pub(crate) async fn now(&self, listener: &Listener) -> Result<Place, Error> {
        let mut known = listener.unless_stopped(self.known.lock()).await?;
        if known.location.is_none() {
            let location = self.ask(listener).await?;
            known.location = Some(location);
            known.edition += 1;
        }
        let edition = known.edition;
        match &known.location {
            Some(location) => Ok(Place {
                url: location.url.clone(),
                headers: location.headers.clone(),
                size: location.size,
                etag: location.etag.clone(),
                edition,
            }),
            None => Err(Error::Interrupted),
        }
    }

    /// Forgets an answer that has proved wrong, unless there is a newer one.
    pub(crate) async fn forget(&self, edition: u64) {
        let mut known = self.known.lock().await;
        if known.edition == edition {
            known.location = None;
        }
    }

    async fn ask(&self, listener: &Listener) -> Result<Location, Error> {
        let mut tries = Tries::new(self.options);
        loop {
            let error = match listener.unless_stopped(self.file.source.locate()).await? {
                Ok(location) => return Ok(location),
                Err(error) => error,
            };
            let delay = error.is_retryable().then(|| tries.next()).flatten();
            let Some(delay) = delay else {
                return Err(Error::Locate {
                    path: self.file.path.clone(),
                    source: error,
                });
            };
            tracing::debug!(path = %self.file.path, %error, "could not locate; trying again");
            let delay = delay.max(error.retry_after().unwrap_or(Duration::ZERO));
            listener.unless_stopped(tokio::time::sleep(delay)).await?;
        }
    }
}

impl Place {
    /// The name that the source gives the content, checked.
    pub(crate) fn blob_name(&self) -> Option<Result<BlobName, crate::NameError>> {
        self.etag.as_deref().map(BlobName::from_etag)
    }
}
