//! A model under test, and the oracle: the same tokens computed from scratch.

use engine_core::{Error, Logits, LogitsWanted, Model, Run, SequenceId, TokenId};

use super::Tolerance;
use crate::{
    case::{CaseResult, OrFail, Stop, ensure, fail, in_words},
    random::Random,
};

/// The shortest context that the cases can work in.
const SMALLEST_CONTEXT: usize = 32;
/// The context that long sequences are made for, at most.
const MANY_TOKENS: usize = 512;
/// Tokens that one run appends to a long sequence.
const PIECE: usize = 50;
/// What can be appended to a long sequence.
pub(super) const FEW_TOKENS: usize = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) tolerance: Tolerance,
    pub(super) seed: u64,
    pub(super) operations: usize,
}

/// Rows of logits of one run.
pub(super) type Rows = Vec<Vec<f32>>;

pub(super) struct Subject {
    pub(super) model: Box<dyn Model>,
    pub(super) settings: Settings,
    pub(super) random: Random,
}

impl Subject {
    pub(super) fn new(model: Box<dyn Model>, settings: Settings) -> CaseResult<Self> {
        let context = model.info().context_length;
        ensure!(
            context >= SMALLEST_CONTEXT,
            "the suite needs a context of {SMALLEST_CONTEXT} tokens, and this model has {context}"
        );
        ensure!(model.info().vocab_size > 0, "the vocabulary is empty");
        Ok(Self {
            model,
            settings,
            random: Random::new(settings.seed),
        })
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.model.info().vocab_size
    }

    pub(super) fn context_length(&self) -> usize {
        self.model.info().context_length
    }

    /// Random tokens of the vocabulary.
    pub(super) fn tokens(&mut self, count: usize) -> Vec<TokenId> {
        let last = self.vocab_size() - 1;
        (0..count)
            .map(|_| self.random.within(0..=last) as TokenId)
            .collect()
    }

    pub(super) fn open(&mut self) -> CaseResult<SequenceId> {
        self.model.open().or_fail("open a sequence")
    }

    pub(super) fn close(&mut self, sequence: SequenceId) -> CaseResult {
        self.model.close(sequence).or_fail("close a sequence")
    }

    pub(super) fn fork(&mut self, sequence: SequenceId) -> CaseResult<SequenceId> {
        self.model.fork(sequence).or_fail("fork a sequence")
    }

    /// Cuts a sequence; the case is skipped if the model can't cut there.
    pub(super) fn truncate(&mut self, sequence: SequenceId, len: usize) -> CaseResult {
        if len != 0 && len < self.earliest_cut(sequence)? {
            return Err(Stop::NotApplicable(
                "the model does not cut anywhere".to_owned(),
            ));
        }
        self.model
            .truncate(sequence, len)
            .or_fail(&format!("truncate a sequence to {len} tokens"))
    }

    pub(super) fn earliest_cut(&self, sequence: SequenceId) -> CaseResult<usize> {
        self.model
            .earliest_cut(sequence)
            .or_fail("ask how far a sequence can be cut")
    }

    /// Tokens of a sequence that is as long as can be had in reasonable time, with room for more:
    /// what windows make a sequence give up shows in long ones.
    pub(super) fn many_tokens(&mut self) -> Vec<TokenId> {
        let count = self.context_length().min(MANY_TOKENS) - FEW_TOKENS;
        self.tokens(count)
    }

    /// Opens a sequence that holds `tokens`.
    pub(super) fn opened_with(&mut self, tokens: &[TokenId]) -> CaseResult<SequenceId> {
        let sequence = self.open()?;
        self.append(sequence, tokens, LogitsWanted::None)?;
        Ok(sequence)
    }

    /// Opens a sequence that holds `tokens`, appended in pieces.
    pub(super) fn opened_in_pieces(&mut self, tokens: &[TokenId]) -> CaseResult<SequenceId> {
        let sequence = self.open()?;
        for piece in tokens.chunks(PIECE) {
            self.append(sequence, piece, LogitsWanted::None)?;
        }
        Ok(sequence)
    }

    pub(super) fn ensure_len(&self, sequence: SequenceId, expected: usize) -> CaseResult {
        let len = self
            .model
            .sequence_len(sequence)
            .or_fail("ask for a sequence's length")?;
        ensure!(
            len == expected,
            "the sequence holds {len} tokens instead of {expected}"
        );
        Ok(())
    }

    /// A batch's rows, run by run.
    pub(super) fn forward(&mut self, runs: &[Run<'_>]) -> CaseResult<Vec<Rows>> {
        let mut logits = Logits::new();
        self.model
            .forward(runs, &mut logits)
            .or_fail("run a batch")?;
        ensure!(
            logits.runs() == runs.len(),
            "a batch of {} runs gave logits of {} runs",
            runs.len(),
            logits.runs()
        );
        let vocab_size = self.vocab_size();
        let mut all = Vec::with_capacity(runs.len());
        for (i, run) in runs.iter().enumerate() {
            let rows: Rows = logits.rows(i).map(<[f32]>::to_vec).collect();
            let expected = match run.logits {
                LogitsWanted::All => run.tokens.len(),
                LogitsWanted::Last => 1,
                _ => 0,
            };
            ensure!(
                rows.len() == expected,
                "{:?} of a run of {} tokens gave {} rows instead of {expected}",
                run.logits,
                run.tokens.len(),
                rows.len()
            );
            ensure!(
                rows.iter().all(|row| row.len() == vocab_size),
                "a row does not have the {vocab_size} numbers of the vocabulary"
            );
            all.push(rows);
        }
        Ok(all)
    }

    /// One run's rows.
    pub(super) fn append(
        &mut self,
        sequence: SequenceId,
        tokens: &[TokenId],
        logits: LogitsWanted,
    ) -> CaseResult<Rows> {
        let run = Run {
            sequence,
            tokens,
            logits,
        };
        Ok(self.forward(&[run])?.pop().unwrap_or_default())
    }

    /// The last row of one run.
    pub(super) fn append_last(
        &mut self,
        sequence: SequenceId,
        tokens: &[TokenId],
    ) -> CaseResult<Vec<f32>> {
        let mut rows = self.append(sequence, tokens, LogitsWanted::Last)?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// The oracle: what comes after `tokens`, computed in one run in a sequence of its own.
    pub(super) fn scratch(&mut self, tokens: &[TokenId]) -> CaseResult<Vec<f32>> {
        let sequence = self.open()?;
        let row = self.append_last(sequence, tokens)?;
        self.close(sequence)?;
        Ok(row)
    }

    /// Appends `tokens`, and fails unless the logits are those of `all` computed from scratch.
    pub(super) fn ensure_continues(
        &mut self,
        what: &str,
        sequence: SequenceId,
        tokens: &[TokenId],
        all: &[TokenId],
    ) -> CaseResult {
        let row = self.append_last(sequence, tokens)?;
        self.ensure_len(sequence, all.len())?;
        let expected = self.scratch(all)?;
        self.ensure_same(what, &row, &expected)
    }

    /// Fails unless two rows agree within the tolerance.
    pub(super) fn ensure_same(&self, what: &str, row: &[f32], expected: &[f32]) -> CaseResult {
        ensure!(
            row.len() == expected.len(),
            "{what}: {} numbers instead of {}",
            row.len(),
            expected.len()
        );
        let Tolerance { absolute, relative } = self.settings.tolerance;
        let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
        let allowed = absolute + relative * largest;
        for (token, (got, expected)) in row.iter().zip(expected).enumerate() {
            let apart = (got - expected).abs();
            // Infinities of the same sign are equal, and NaN never is.
            ensure!(
                got == expected || apart <= allowed,
                "{what}: the logit of token {token} is {got} instead of {expected}, \
                 and they may be {allowed} apart"
            );
        }
        Ok(())
    }

    /// Fails unless the batch is refused with an error that `expected` accepts.
    pub(super) fn ensure_refused(
        &mut self,
        what: &str,
        runs: &[Run<'_>],
        expected: impl Fn(&Error) -> bool,
    ) -> CaseResult {
        match self.model.forward(runs, &mut Logits::new()) {
            Ok(()) => fail!("{what} was accepted"),
            Err(error) => ensure_kind(what, &error, expected),
        }
    }
}

/// Fails unless the error is of the kind that the contract names.
pub(super) fn ensure_kind(
    what: &str,
    error: &Error,
    expected: impl Fn(&Error) -> bool,
) -> CaseResult {
    ensure!(
        expected(error),
        "{what} gave another error than the contract names: {}",
        in_words(error)
    );
    Ok(())
}
