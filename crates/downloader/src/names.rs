//! Names that come from a server or a user, checked before they become paths.
//!
//! Paths inside the cache are built from these types alone, so a name that would leave the cache
//! can't reach the file system. What a name may not be is refused by the rules of Unix and Windows
//! alike, whatever this machine is.

use std::{fmt, str::FromStr};

use crate::Digest;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a valid {kind}: {reason}")]
pub struct NameError {
    /// What it was to be: "file path".
    pub kind: &'static str,
    /// The name, cut off where it is very long.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl NameError {
    fn new(kind: &'static str, name: &str, reason: &'static str) -> Self {
        Self {
            kind,
            name: name.chars().take(100).collect(),
            reason,
        }
    }
}

/// Gives a checked string its usual traits.
macro_rules! checked_name {
    ($name:ident) => {
        impl $name {
            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// The folder of one repository in the cache: `models--org--name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoFolder(String);

checked_name!(RepoFolder);

impl RepoFolder {
    const KIND: &'static str = "repository";

    /// Checks a folder's name: a kind (`models`, `datasets`, `spaces`, `kernels`), then one or two parts
    /// of `[A-Za-z0-9_.-]`, joined by `--`.
    pub fn new(folder: &str) -> Result<Self, NameError> {
        let refuse = |reason| NameError::new(Self::KIND, folder, reason);
        let mut parts = folder.split("--");
        if !matches!(
            parts.next(),
            Some("models" | "datasets" | "spaces" | "kernels")
        ) {
            return Err(refuse(
                "it must begin with models--, datasets--, spaces-- or kernels--",
            ));
        }
        let mut count = 0;
        for part in parts {
            count += 1;
            check_repo_part(part).map_err(refuse)?;
        }
        if !(1..=2).contains(&count) {
            return Err(refuse("it must have a name and at most one owner"));
        }
        Ok(Self(folder.to_owned()))
    }

    /// The folder of a model by its id: `org/name`, or `name` alone.
    pub fn of_model(id: &str) -> Result<Self, NameError> {
        if id.contains("--") {
            return Err(NameError::new(Self::KIND, id, "it must not contain --"));
        }
        Self::new(&format!("models--{}", id.replace('/', "--")))
            .map_err(|e| NameError::new(Self::KIND, id, e.reason))
    }

    /// What the repository holds: `models`.
    pub fn kind(&self) -> &str {
        self.0.split("--").next().unwrap_or_default()
    }

    /// The repository's id: `org/name`.
    pub fn id(&self) -> String {
        let parts: Vec<&str> = self.0.split("--").skip(1).collect();
        parts.join("/")
    }
}

fn check_repo_part(part: &str) -> Result<(), &'static str> {
    if part.is_empty() || part.len() > 96 {
        return Err("each part must have 1 to 96 characters");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !part.chars().all(allowed) {
        return Err("only letters, digits, `_`, `-` and `.` are allowed");
    }
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if !word(part.chars().next()) || !word(part.chars().next_back()) {
        return Err("a part must begin and end with a letter, a digit or `_`");
    }
    if part.contains("..") || part.to_ascii_lowercase().ends_with(".git") {
        return Err("it must neither contain `..` nor end with .git");
    }
    Ok(())
}

/// A commit: 40 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit(String);

checked_name!(Commit);

impl Commit {
    /// Checks a commit.
    pub fn new(commit: &str) -> Result<Self, NameError> {
        if commit.len() == 40 && commit.bytes().all(is_hex) {
            return Ok(Self(commit.to_owned()));
        }
        let reason = "it must be 40 hexadecimal digits in lower case";
        Err(NameError::new("commit", commit, reason))
    }
}

/// The name of a branch, a tag or a pull request, as it lies below `refs/`: `main`, `refs/pr/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

checked_name!(RefName);

impl RefName {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check_relative_path(name).map_err(|reason| NameError::new("revision", name, reason))?;
        Ok(Self(name.to_owned()))
    }
}

/// The path of a file inside its repository, with `/` between its segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

checked_name!(FilePath);

impl FilePath {
    /// Checks a path: relative, without `.` and `..`, and a plain path on Windows too.
    pub fn new(path: &str) -> Result<Self, NameError> {
        check_relative_path(path).map_err(|reason| NameError::new("file path", path, reason))?;
        Ok(Self(path.to_owned()))
    }

    /// The segments of the path.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

fn check_relative_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > 1024 {
        return Err("it is longer than 1024 bytes");
    }
    if path.contains('\\') {
        return Err("it contains a backslash");
    }
    if path.contains(':') {
        return Err("it contains a colon, which means a drive or a stream on Windows");
    }
    if path.chars().any(char::is_control) {
        return Err("it contains a control character");
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err("it is absolute or has an empty segment"),
            "." | ".." => return Err("it contains `.` or `..` as a segment"),
            _ if segment.len() > 255 => return Err("a segment is longer than 255 bytes"),
            _ if segment.ends_with(['.', ' ']) => {
                return Err("a segment ends with a dot or a space, which Windows drops");
            }
            _ if is_windows_device(segment) => {
                return Err("a segment is a device's name on Windows");
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_windows_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default();
    let stem = stem.to_ascii_uppercase();
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.ends_with(|c: char| ('1'..='9').contains(&c)))
}

/// The name of a file's content in the cache: its digest, or an opaque ETag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(String);

checked_name!(BlobName);

impl BlobName {
    /// Checks a name that lies in a cache, or an ETag without its quotes.
    ///
    /// Letters, digits, `_` and `-` are allowed; dots are not, since suffixes follow the name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let refuse = |reason| NameError::new("ETag", name, reason);
        if name.is_empty() || name.len() > 128 {
            return Err(refuse("it must have 1 to 128 characters to name a file"));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !name.bytes().all(allowed) {
            return Err(refuse(
                "only letters, digits, `_` and `-` are allowed in the name of a file",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// Reads the value of an `ETag` or `X-Linked-Etag` header: an optional `W/`, and quotes.
    pub fn from_etag(header: &str) -> Result<Self, NameError> {
        let header = header.trim();
        let header = header.strip_prefix("W/").unwrap_or(header);
        let bare = header
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(header);
        Self::new(bare)
    }

    /// The digest that the name is, if it is one: 64 hexadecimal digits are a SHA-256, 40 a git blob's
    /// SHA-1.
    pub fn digest(&self) -> Option<Digest> {
        Digest::from_hex(&self.0)
    }
}

impl From<Digest> for BlobName {
    fn from(digest: Digest) -> Self {
        Self(digest.hex())
    }
}

pub(crate) fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}
