//! A commit.

use serde::{Deserialize, Serialize};

use super::text_name;

/// A commit: 40 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitHash(String);

text_name!(CommitHash, "commit", |text| {
    if is_lower_hex(text, 40) {
        Ok(())
    } else {
        Err("it has 40 hexadecimal digits in lower case")
    }
});

pub(super) fn is_lower_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
