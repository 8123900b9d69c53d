//! `organisation/name`.

use serde::{Deserialize, Serialize};

use super::text_name;

/// A model repository: `organisation/name`, or `name` alone for a few old ones.
///
/// The rules are those of `huggingface_hub`'s `validate_repo_id`: each part has 1 to 96 of ASCII's
/// letters and digits, `-`, `_` and `.`, begins and ends with a letter, digit or `_`, holds neither
/// `--` nor `..`, and the whole does not end in `.git`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoId(String);

text_name!(RepoId, "repository name", check);

const MAX_PART: usize = 96;

fn check(text: &str) -> Result<(), &'static str> {
    let (owner, name) = match text.split_once('/') {
        Some((owner, name)) => (Some(owner), name),
        None => (None, text),
    };
    if name.contains('/') {
        return Err("it has the form organisation/name, with one slash at most");
    }
    if text.contains("--") || text.contains("..") {
        return Err("it must not hold \"--\" or \"..\"");
    }
    if text.strip_suffix(".git").is_some() {
        return Err("it must not end in \".git\"");
    }
    for part in owner.into_iter().chain([name]) {
        if part.is_empty() {
            return Err("a part of it is empty");
        }
        if part.len() > MAX_PART {
            return Err("a part of it has more than 96 characters");
        }
        if !part.bytes().all(|b| is_word(b) || matches!(b, b'-' | b'.')) {
            return Err("only ASCII letters and digits, \"-\", \"_\" and \".\" are allowed");
        }
        let ends = [part.bytes().next(), part.bytes().next_back()];
        if !ends.into_iter().flatten().all(is_word) {
            return Err("each part begins and ends with a letter, a digit or \"_\"");
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl RepoId {
    /// The organisation or user, if there is one.
    pub fn owner(&self) -> Option<&str> {
        self.0.split_once('/').map(|(owner, _)| owner)
    }

    /// The name without its owner.
    pub fn name(&self) -> &str {
        self.0
            .split_once('/')
            .map_or(self.0.as_str(), |(_, name)| name)
    }
}
