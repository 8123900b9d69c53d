//! A branch, tag, pull request or commit.

use serde::{Deserialize, Serialize};

use super::{CommitHash, text_name};

/// A branch, a tag, a pull request (`refs/pr/1`) or a commit.
///
/// Git's rules for reference names hold (`git check-ref-format`), so that a revision is also a
/// safe relative path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision(String);

text_name!(Revision, "revision", check);

const MAX_LEN: usize = 255;

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_LEN {
        return Err("it has more than 255 bytes");
    }
    if text
        .chars()
        .any(|c| c.is_control() || c == ' ' || "~^:?*[\\".contains(c))
    {
        return Err("spaces, control characters and any of ~^:?*[\\ are not allowed");
    }
    if text.contains("..") || text.contains("@{") || text == "@" {
        return Err("it must not hold \"..\" or \"@{\"");
    }
    for part in text.split('/') {
        if part.is_empty() {
            return Err("it must not begin or end with a slash, or hold two in a row");
        }
        if part.starts_with('.') || part.ends_with('.') {
            return Err("no part of it begins or ends with a dot");
        }
        if part.strip_suffix(".lock").is_some() {
            return Err("no part of it ends in \".lock\"");
        }
    }
    Ok(())
}

impl Revision {
    /// The branch that a repository begins with.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The commit, if the revision is one by its form.
    pub fn as_commit(&self) -> Option<CommitHash> {
        CommitHash::parse(self.0.as_str()).ok()
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self::main()
    }
}

impl From<CommitHash> for Revision {
    fn from(commit: CommitHash) -> Self {
        Self(commit.into())
    }
}
