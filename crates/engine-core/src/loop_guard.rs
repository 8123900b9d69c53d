//! When an answer goes round in circles.

use serde::{Deserialize, Serialize};

use crate::{Field, Result, sampling::require};

/// Ends an answer that repeats itself word for word.
///
/// It ends with [`FinishReason::Loop`](crate::FinishReason::Loop) as soon as its last tokens are the
/// same piece again and again: a piece of at most `longest` tokens, at least `repeats` times in a
/// row, and at least `min_tokens` tokens in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoopGuard {
    /// The longest piece, in tokens, from 1 to 1024. Default 64.
    pub longest: u32,
    /// How often the piece comes, at least 2. Default 4.
    pub repeats: u32,
    /// How long all repetitions are together, in tokens, so that a row of dashes is no loop yet.
    /// Default 48.
    pub min_tokens: u32,
}

impl Default for LoopGuard {
    fn default() -> Self {
        Self {
            longest: 64,
            repeats: 4,
            min_tokens: 48,
        }
    }
}

impl LoopGuard {
    pub(crate) fn validate(&self) -> Result<()> {
        require(
            Field::LoopGuard,
            (1..=1024).contains(&self.longest),
            || format!("a longest piece of {}", self.longest),
            "of a longest piece from 1 to 1024 tokens",
        )?;
        require(
            Field::LoopGuard,
            self.repeats >= 2,
            || format!("{} repeats", self.repeats),
            "of at least 2 repeats",
        )
    }
}
