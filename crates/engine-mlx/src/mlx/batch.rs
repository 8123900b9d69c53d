//! A batch that has been checked: every sequence is open and comes once, every run fits.

use std::borrow::Cow;

use engine_core::{Error, Field, Result, SequenceId, TokenId};

use super::{compute::Compute, kv_cache::capacity_for, kv_numbers::KvForm, sequences::Sequences};

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
    /// Whether every layer's attention sees everything before.
    pub(super) sees_all: bool,
    pub(super) compute: Compute,
    pub(super) kv_form: KvForm,
}

impl Sizes {
    /// Bytes of a position in the cache of one layer.
    pub(super) fn position_bytes(&self) -> u64 {
        let head = self.kv_form.bytes(self.head_dim, self.compute.bytes());
        2 * self.kv_heads as u64 * head
    }
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
            open.ensure_kept()?;
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

    /// The sequences, in the order of the runs.
    pub(super) fn sequences(&self) -> Vec<SequenceId> {
        self.runs.iter().map(|run| run.sequence).collect()
    }

    /// Tokens of the longest run.
    pub(super) fn longest_run(&self) -> usize {
        self.runs.iter().map(|run| run.rows).max().unwrap_or(0)
    }

    /// Whether the runs are one token each, so that they can be computed side by side.
    ///
    /// Layers with a window would need a mask of their own; their sequences are computed one by
    /// one.
    pub(super) fn goes_in_step(&self, sizes: &Sizes) -> bool {
        sizes.sees_all
            && self.runs.len() > 1
            && self.runs.iter().all(|run| run.rows == 1 && run.len > 0)
    }

    /// Tokens of all runs.
    pub(super) fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.rows).sum()
    }

    /// Bytes by which the caches have to grow for the batch.
    pub(super) fn cache_bytes(&self, sequences: &Sequences, sizes: &Sizes) -> u64 {
        let positions = if self.goes_in_step(sizes) {
            sizes.layers * self.batched_positions(sequences)
        } else {
            let own = |run: &BatchRun| {
                let sequence = sequences.get(run.sequence).ok();
                let growth = sequence.and_then(|sequence| sequence.growth(run.rows));
                growth.unwrap_or_else(|| sizes.layers * capacity_for(run.len + run.rows))
            };
            self.runs.iter().map(own).sum()
        };
        positions as u64 * sizes.position_bytes()
    }

    /// About how many bytes the activations of the widest layer take, several of which are alive
    /// at a time, where attention holds its scores.
    pub(super) fn activation_bytes(&self, sizes: &Sizes) -> u64 {
        let mut activations = 0u64;
        for run in &self.runs {
            let end = run.len + run.rows;
            activations += (sizes.heads * run.rows) as u64 * end as u64;
            activations += (run.wanted * sizes.vocab) as u64;
            if sizes.kv_form != KvForm::Plain && run.rows > 1 {
                // Several rows see packed keys and values as numbers.
                activations += (2 * sizes.kv_heads * sizes.head_dim) as u64 * end as u64;
            }
        }
        let row = 2 * sizes.intermediate + 2 * sizes.hidden + 3 * sizes.heads * sizes.head_dim;
        activations += (self.rows() * row) as u64;
        3 * 4 * activations
    }

    /// Positions of the buffers that have to be made for runs that go in step.
    fn batched_positions(&self, sequences: &Sequences) -> usize {
        let batch = sequences.batch();
        let gathered = batch.filter(|_| sequences.is_gathered(&self.sequences()));
        let end = match gathered {
            Some(batch) if batch.len() < batch.capacity() => return 0,
            Some(batch) => batch.len() + 1,
            None => 1 + self.runs.iter().map(|run| run.len).max().unwrap_or(0),
        };
        self.runs.len() * capacity_for(end)
    }
}

/// Checks a text that is read from its beginning.
pub(super) fn check_text(tokens: &[TokenId], sizes: &Sizes) -> Result<()> {
    if tokens.is_empty() {
        return Err(invalid("a text without tokens", "at least one token"));
    }
    if tokens.len() > sizes.context {
        return Err(Error::ContextOverflow {
            prompt_tokens: tokens.len(),
            context_length: sizes.context,
        });
    }
    ensure_in_vocabulary(tokens, sizes.vocab)
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
