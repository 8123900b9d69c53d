//! Names as the Hub uses them, each a type that only a valid text becomes.
//!
//! What a server says passes through the same checks as what a caller says: a name that could
//! leave its folder, or a path that another system reads differently, never becomes one of these.

mod blob_id;
mod commit_hash;
mod repo_id;
mod repo_path;
mod revision;

use std::borrow::Cow;

pub use blob_id::{BlobId, HexDigits};
pub use commit_hash::CommitHash;
pub use repo_id::RepoId;
pub use repo_path::RepoPath;
pub use revision::Revision;

/// A text that is not a valid name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: {reason}")]
#[non_exhaustive]
pub struct InvalidName {
    /// What it was meant to be: "repository name".
    pub kind: &'static str,
    /// The text, shortened.
    pub value: String,
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
}

/// The longest name that a message quotes.
const MAX_QUOTED: usize = 120;

impl InvalidName {
    pub(crate) fn new(
        kind: &'static str,
        value: &str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut quoted: String = value.chars().take(MAX_QUOTED).collect();
        if quoted.len() < value.len() {
            quoted.push('…');
        }
        Self {
            kind,
            value: quoted,
            reason: reason.into(),
        }
    }
}

/// Everything that the text types share; `check` gives the reason against a text.
macro_rules! text_name {
    ($name:ident, $kind:literal, $check:expr) => {
        impl $name {
            /// Checks a text.
            pub fn parse(text: impl Into<String>) -> Result<Self, $crate::InvalidName> {
                let text = text.into();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(reason) => Err($crate::InvalidName::new($kind, &text, reason)),
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::InvalidName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::InvalidName;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text_name;
