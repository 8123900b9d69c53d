//! A batch that has been checked: every sequence is open and comes once, every run fits.

use std::borrow::Cow;

use engine_core::{Error, Field, Result, SequenceId, TokenId};

use super::{
    compute::Compute,
    kv_cache::capacity_for,
    sequences::{Sequence, Sequences},
};

/// One run of a checked batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchRun {
    pub(super) sequence: SequenceId,
    /// Tokens to append, at least one.
    pub(super) rows: usize,
    /// Tokens that the sequence has.
    pub(super) len: usize,
    /// Rows of logits that are wanted.
    pub(super) wanted: usize,
}

/// The sizes of a model that decide what a batch takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) layers: usize,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) vocab: usize,
    pub(super) context: usize,
    pub(super) compute: Compute,
}

/// Runs that can be run together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) runs: Vec<BatchRun>,
}

impl Batch {
    /// Checks runs of a sequence, a number of tokens, and a number of wanted rows each.
    pub(super) fn check(
        runs: impl Iterator<Item = (SequenceId, usize, usize)>,
        sequences: &Sequences,
        sizes: &Sizes,
    ) -> Result<Self> {
        let mut checked: Vec<BatchRun> = Vec::new();
        for (sequence, rows, wanted) in runs {
            let open = sequences.get(sequence)?;
            open.caches()?;
            let len = open.len();
            if rows == 0 {
                return Err(invalid(
                    "an empty run",
                    "at least one token for each sequence",
                ));
            }
            if checked.iter().any(|run| run.sequence == sequence) {
                return Err(invalid(
                    "two runs of one sequence",
                    "at most one run for each sequence",
                ));
            }
            if rows > sizes.context.saturating_sub(len) {
                return Err(Error::ContextOverflow {
                    prompt_tokens: len.saturating_add(rows),
                    context_length: sizes.context,
                });
            }
            checked.push(BatchRun {
                sequence,
                rows,
                len,
                wanted,
            });
        }
        Ok(Self { runs: checked })
    }

    /// Tokens of all runs.
    pub(super) fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.rows).sum()
    }

    /// About how many bytes the batch needs beyond what is held: longer caches, and the
    /// activations of the widest layer, several of which are alive at a time.
    pub(super) fn needed_bytes(&self, sequences: &Sequences, sizes: &Sizes) -> u64 {
        let element = sizes.compute.bytes();
        let kv_row = 2 * (sizes.kv_heads * sizes.head_dim) as u64;
        let mut numbers = 0;
        let mut activations = 0u64;
        for run in &self.runs {
            let end = run.len + run.rows;
            let held = sequences.get(run.sequence).map_or(0, Sequence::capacity);
            if held < end {
                numbers += capacity_for(end) as u64 * kv_row * sizes.layers as u64;
            }
            activations += (sizes.heads * run.rows) as u64 * end as u64;
            activations += (run.wanted * sizes.vocab) as u64;
        }
        let row = 2 * sizes.intermediate + 2 * sizes.hidden + 3 * sizes.heads * sizes.head_dim;
        activations += (self.rows() * row) as u64;
        numbers * element + 3 * 4 * activations
    }
}

/// Every token must be a row of the embedding: MLX reads whatever lies at its place.
pub(super) fn ensure_in_vocabulary(tokens: &[TokenId], vocab_size: usize) -> Result<()> {
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        None => Ok(()),
        Some(token) => Err(Error::InvalidToken {
            token: *token,
            vocab_size,
        }),
    }
}

fn invalid(value: &str, expected: &'static str) -> Error {
    Error::InvalidParameter {
        field: Field::Prompt,
        value: value.to_owned(),
        expected: Cow::Borrowed(expected),
    }
}
