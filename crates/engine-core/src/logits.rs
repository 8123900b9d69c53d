//! The scores that a model gives the next token.

use std::ops::Range;

/// Logits of one batch: rows of `vocab_size` numbers, grouped by run.
///
/// Reused from step to step, so that a step allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Logits {
    vocab_size: usize,
    /// What lies behind the last run is left from earlier steps.
    data: Vec<f32>,
    runs: Vec<Range<usize>>,
}

impl Logits {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all rows; the next ones have `vocab_size` numbers.
    pub fn reset(&mut self, vocab_size: usize) {
        self.vocab_size = vocab_size;
        self.runs.clear();
    }

    /// Numbers in use.
    fn len(&self) -> usize {
        self.runs.last().map_or(0, |run| run.end)
    }

    /// Adds the rows of the next run, none included.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn push_run(&mut self, rows: &[f32]) {
        assert!(
            self.vocab_size > 0 && rows.len().is_multiple_of(self.vocab_size),
            "{} numbers are no whole rows of {}",
            rows.len(),
            self.vocab_size
        );
        let count = rows.len() / self.vocab_size;
        self.add_runs([count]).copy_from_slice(rows);
    }

    /// Adds runs of so many rows each and gives all their numbers, `[rows, vocab_size]`, to be
    /// written in place. Until then they are any.
    pub fn add_runs(&mut self, counts: impl IntoIterator<Item = usize>) -> &mut [f32] {
        let start = self.len();
        let mut end = start;
        for count in counts {
            let next = end + count * self.vocab_size;
            self.runs.push(end..next);
            end = next;
        }
        if self.data.len() < end {
            self.data.resize(end, 0.0);
        }
        &mut self.data[start..end]
    }

    /// The number of runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The rows of a run, each of `vocab_size` numbers; none if it asked for none.
    pub fn rows(&self, run: usize) -> impl DoubleEndedIterator<Item = &[f32]> + ExactSizeIterator {
        let range = self.runs.get(run).cloned().unwrap_or_default();
        self.data[range].chunks_exact(self.vocab_size.max(1))
    }

    /// The last row of a run.
    pub fn last(&self, run: usize) -> Option<&[f32]> {
        self.rows(run).next_back()
    }
}

impl PartialEq for Logits {
    fn eq(&self, other: &Self) -> bool {
        self.vocab_size == other.vocab_size
            && self.runs == other.runs
            && self.data[..self.len()] == other.data[..other.len()]
    }
}
