//! What identifies a file's content.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::commit_hash::is_lower_hex;

/// What identifies a file's content, as the Hub's `ETag` and its listings give it.
///
/// Only the two hashes can be verified and may become part of a path; see [`BlobId::file_name`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum BlobId {
    /// SHA-256 of the content, for files in large-file storage; 64 lower-case hexadecimal digits.
    Sha256(HexDigits<64>),
    /// SHA-1 that Git gives the content (`"blob <length>\0"` before it); 40 such digits.
    GitSha1(HexDigits<40>),
    /// Anything else: it can tell that a file changed, and nothing more. Never part of a path.
    Opaque(String),
}

/// Exactly `N` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexDigits<const N: usize>([u8; N]);

impl<const N: usize> HexDigits<N> {
    /// Checks a text.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes().try_into().ok()?;
        is_lower_hex(text, N).then_some(Self(digits))
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        // The digits are ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for HexDigits<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for HexDigits<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl BlobId {
    /// From an identifier without quotes; its form decides what it is.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let sha256 = HexDigits::<64>::parse(&text).map(Self::Sha256);
        let git = || HexDigits::<40>::parse(&text).map(Self::GitSha1);
        sha256.or_else(git).unwrap_or(Self::Opaque(text))
    }

    /// From an `ETag` header: the prefix `W/` and the quotes are taken off. `None` if nothing is
    /// left.
    pub fn from_etag(header: &str) -> Option<Self> {
        let tag = header.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let tag = tag.trim_matches('"');
        (!tag.is_empty()).then(|| Self::new(tag))
    }

    /// The SHA-256, if this is one.
    pub fn as_sha256(&self) -> Option<&str> {
        match self {
            Self::Sha256(digits) => Some(digits.as_str()),
            _ => None,
        }
    }

    /// The name that the content has in a cache: the hash. `None` for what is not a hash, which
    /// may hold slashes and dots of the server's choice.
    pub fn file_name(&self) -> Option<&str> {
        match self {
            Self::Sha256(digits) => Some(digits.as_str()),
            Self::GitSha1(digits) => Some(digits.as_str()),
            Self::Opaque(_) => None,
        }
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => digits.fmt(f),
            Self::GitSha1(digits) => digits.fmt(f),
            Self::Opaque(text) => write!(f, "{text:?}"),
        }
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "Sha256({digits})"),
            Self::GitSha1(digits) => write!(f, "GitSha1({digits})"),
            Self::Opaque(text) => write!(f, "Opaque({text:?})"),
        }
    }
}

impl From<String> for BlobId {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<BlobId> for String {
    fn from(id: BlobId) -> Self {
        match id {
            BlobId::Sha256(digits) => digits.as_str().to_owned(),
            BlobId::GitSha1(digits) => digits.as_str().to_owned(),
            BlobId::Opaque(text) => text,
        }
    }
}
