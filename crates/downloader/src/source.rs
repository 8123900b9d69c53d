//! Where the bytes of a file come from.

use std::{fmt, time::Duration};

use futures_core::future::BoxFuture;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

/// A cause from another library, with its type erased.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Knows where a file's bytes are at this moment.
///
/// A service that signs its URLs for a while is asked again when they have expired, and the transfer
/// goes on where it was if the answer is still about the same content.
pub trait Source: fmt::Debug + Send + Sync {
    /// Locates the bytes.
    ///
    /// Called before the first request for the file, after a refusal (401, 403, 404, 410, 412), and
    /// after a connection has failed several times. It should retry what is worth it by itself only
    /// for a short while: the downloader calls again where [`SourceError::retry`] says so.
    fn locate(&self) -> BoxFuture<'_, Result<Location, SourceError>>;
}

/// A place to fetch a file from, and what its service says about the content.
#[derive(Clone)]
pub struct Location {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
}

impl Location {
    /// A place by its `http` or `https` URL.
    pub fn new(url: &str) -> Result<Self, SourceError> {
        let url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| SourceError::fatal("the location is not an http or https URL"))?;
        Ok(Self {
            url,
            headers: HeaderMap::new(),
            etag: None,
            size: None,
        })
    }

    /// Adds a header to the requests for this URL.
    ///
    /// It goes to this URL's origin (scheme, host and port) and is left out where a redirect leads
    /// elsewhere. Its value appears in no output.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, SourceError> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| SourceError::fatal("a header's name is not valid"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| SourceError::fatal("a header's value is not valid"))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Says the content's ETag, as its service writes it.
    ///
    /// For a file whose digest the plan does not know, it is the identity of the content.
    #[must_use]
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// Says the content's size in bytes.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location")
            .field("url", &RedactedUrl::new(&self.url))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("etag", &self.etag)
            .field("size", &self.size)
            .finish()
    }
}

/// Why a file could not be located.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct SourceError {
    cause: BoxError,
    suggestion: Option<String>,
    retry: Option<Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    after: Option<Duration>,
}

impl SourceError {
    /// Asking again would not help.
    pub fn fatal(cause: impl Into<BoxError>) -> Self {
        Self {
            cause: cause.into(),
            suggestion: None,
            retry: None,
        }
    }

    /// Asking again may help, after the given time if one is known.
    pub fn retry(cause: impl Into<BoxError>, after: Option<Duration>) -> Self {
        Self {
            cause: cause.into(),
            suggestion: None,
            retry: Some(Retry { after }),
        }
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn with_suggestion(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// What the reader can do about it, where the source knows.
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    /// Whether asking again may help.
    pub fn is_retryable(&self) -> bool {
        self.retry.is_some()
    }

    /// How long to wait before asking again, if the service said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry.and_then(|retry| retry.after)
    }

    /// The source's own error, for a caller that knows its type.
    pub fn cause(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self.cause.as_ref()
    }
}

/// A source whose place never changes.
#[derive(Debug, Clone)]
pub struct FixedLocation(Location);

impl FixedLocation {
    /// Always this place.
    pub fn new(location: Location) -> Self {
        Self(location)
    }
}

impl Source for FixedLocation {
    fn locate(&self) -> BoxFuture<'_, Result<Location, SourceError>> {
        let location = self.0.clone();
        Box::pin(async move { Ok(location) })
    }
}

/// A URL that may be shown: without credentials, query string (where signatures are) and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(String);

impl RedactedUrl {
    pub(crate) fn new(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Both fail only for URLs without a host, which have no credentials either.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self(url.into())
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
