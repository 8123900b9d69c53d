//! Where the Hub is, and who may see a token.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::{HubError, RepoId, RepoPath, Revision};

/// What stays as it is in a part of a path: the unreserved characters of RFC 3986.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Hosts that belong to the Hub itself.
const HUB_HOSTS: [&str; 2] = ["huggingface.co", "hf.co"];

/// The base address of a Hub: <https://huggingface.co>, or a mirror of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Without a slash at its end, which [`Url`] would add.
    base: String,
    url: Url,
}

impl Endpoint {
    /// Checks an address such as `https://hub.example.org/mirror`.
    ///
    /// # Errors
    /// [`HubError::InvalidUrl`] unless it is `http` or `https` with a host and without a user, a
    /// query or a fragment. The message leaves out what may be secret.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let refuse = |url: &str, reason: String| HubError::InvalidUrl {
            url: url.to_owned(),
            reason,
        };
        let text = text.trim().trim_end_matches('/');
        // A text that is no address may still hold a password, so it is not quoted.
        let url = Url::parse(text).map_err(|e| refuse("the endpoint", e.to_string()))?;
        let shown = bare(&url);
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refuse(
                &shown,
                "it must begin with https:// or http://".to_owned(),
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                &shown,
                "it must not hold a user or a password".to_owned(),
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse(
                &shown,
                "it must not hold a query or a fragment".to_owned(),
            ));
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { base, url })
    }

    /// Hugging Face's own: <https://huggingface.co>.
    pub fn hugging_face() -> Result<Self, HubError> {
        Self::parse("https://huggingface.co")
    }

    /// The address without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// Whether a token may be sent to this address: to the endpoint's own origin (scheme, host
    /// and port), and to the Hub's own hosts by `https`.
    pub fn may_receive_token(&self, url: &Url) -> bool {
        url.origin() == self.url.origin() || is_hub(url)
    }

    /// `/api/{tail}`, whose parts are already safe.
    pub(crate) fn api(&self, tail: &str) -> Result<Url, HubError> {
        self.at(&format!("/api/{tail}"))
    }

    /// `/api/models/{repo}{tail}`.
    pub(crate) fn model(&self, repo: &RepoId, tail: &str) -> Result<Url, HubError> {
        self.at(&format!("/api/models/{repo}{tail}"))
    }

    /// `/{repo}/resolve/{revision}/{path}`.
    pub(crate) fn resolve(
        &self,
        repo: &RepoId,
        revision: &Revision,
        path: &RepoPath,
    ) -> Result<Url, HubError> {
        let path: Vec<String> = path.parts().map(encoded).collect();
        let revision = encoded(revision.as_str());
        self.at(&format!("/{repo}/resolve/{revision}/{}", path.join("/")))
    }

    fn at(&self, path: &str) -> Result<Url, HubError> {
        Url::parse(&format!("{}{path}", self.base)).map_err(|e| HubError::InvalidUrl {
            url: self.base.clone(),
            reason: e.to_string(),
        })
    }

    /// The page that a `Link` header names, at this endpoint.
    ///
    /// A mirror hands on links to the Hub, which those who use a mirror can't or must not reach;
    /// such links are led back to the mirror. A link to anywhere else is refused.
    pub(crate) fn page(&self, link: &Url) -> Result<Url, HubError> {
        if link.origin() == self.url.origin() {
            return Ok(link.clone());
        }
        if !is_hub(link) {
            return Err(HubError::RefusedRedirect {
                operation: "follow the list to its next page".to_owned(),
                target: link.origin().ascii_serialization(),
                reason: "it does not belong to the Hub that was asked",
            });
        }
        let mut page = self.at(link.path())?;
        page.set_query(link.query());
        Ok(page)
    }
}

/// One part of a path, percent-encoded, slashes included.
pub(crate) fn encoded(part: &str) -> String {
    utf8_percent_encode(part, PART).to_string()
}

fn is_hub(url: &Url) -> bool {
    url.scheme() == "https"
        && url.port().is_none()
        && url.host_str().is_some_and(|host| HUB_HOSTS.contains(&host))
}

/// An address without anything that may be secret: user, password, query, fragment.
pub(crate) fn bare(url: &Url) -> String {
    let mut url = url.clone();
    // They fail for addresses that can't have either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.base)
    }
}
