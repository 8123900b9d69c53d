//! A file's path inside its repository.

use serde::{Deserialize, Serialize};

use super::text_name;

/// A file's or folder's path inside a repository, with `/` between its parts.
///
/// It stays below whatever folder it is joined to, on every operating system: no `..` or `.`, no
/// empty part, no backslash, no drive letter, no control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

text_name!(RepoPath, "file name", check);

const MAX_LEN: usize = 4096;

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_LEN {
        return Err("it has more than 4096 bytes");
    }
    if text.contains('\\') {
        return Err("backslashes separate folders on Windows");
    }
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed");
    }
    for part in text.split('/') {
        match part.as_bytes() {
            [] => return Err("it is absolute, or a part of it is empty"),
            b"." | b".." => return Err("\".\" and \"..\" lead elsewhere"),
            [letter, b':', ..] if letter.is_ascii_alphabetic() => {
                return Err("a letter with a colon names a drive on Windows");
            }
            _ => {}
        }
    }
    Ok(())
}

impl RepoPath {
    /// The parts between slashes; there is at least one, and none is empty.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or(self.0.as_str(), |(_, name)| name)
    }
}
