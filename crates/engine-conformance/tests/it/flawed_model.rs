//! A model that is sound but for one flaw.

use std::{cell::Cell, collections::BTreeMap, num::NonZeroU32};

use engine_conformance::ModelSuite;
use engine_core::{
    DeviceInput, DeviceRun, DeviceToken, Error, Logits, LogitsWanted, MemoryReport, Model,
    ModelInfo, Result, Run, SequenceId, SequenceState, TokenId,
};
use engine_mock::{MockBackend, MockModel};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// `truncate` succeeds and cuts nothing.
    TruncateDoesNothing,
    /// `truncate` changes the length and leaves the tokens that are cut in what follows.
    TruncateLeavesTokens,
    /// A fork is its original under another number.
    ForkSharesState,
    /// A fork is empty.
    ForkIsEmpty,
    /// The rows of a batch's first two runs are swapped.
    BatchMixUp,
    /// A batch's rows come in the order of their sequences.
    BatchSorted,
    /// The runs before the one that fails stay appended.
    LengthAfterErr,
    /// A closed sequence's number is given out again.
    ReusedIds,
    /// Closing frees nothing.
    CloseLeaks,
    /// A closed sequence may be closed again.
    CloseTwice,
    /// All rows are asked for, and the last comes.
    LastForAll,
    /// An empty run is fine.
    EmptyRun,
    /// A token outside the vocabulary is token 0.
    InvalidTokenIsZero,
    /// A sequence twice in a batch is appended to twice.
    DoubledSequence,
    /// The context is twice as long as it says.
    LongerContext,
    /// Single tokens give other logits than runs do.
    SingleTokensDiffer,
    /// Every call gives other logits.
    Unrepeatable,
    /// Trimming cuts a token off every sequence.
    TrimCuts,
    /// An unknown sequence is an error of another kind.
    WrongErrorKind,
    /// A cut beyond the end is no cut.
    TruncateBeyond,
    /// A cut takes one token more than asked.
    TruncateCutsOneMore,
    /// The context is half as long as it says.
    ShorterContext,
    /// Logits depend on how many sequences are open.
    SeesOthers,
    /// Info is another after the first step.
    InfoChanges,
    /// A new sequence begins with a token.
    NewHoldsAToken,
    /// Dropping a chosen token cuts a token off every sequence.
    DeviceDiscardCuts,
    /// A step on the device that is refused appends what it can.
    DeviceLengthAfterErr,
    /// The device never chooses token 0's better.
    DeviceChoosesZero,
    /// The device's next step takes token 0 for what was chosen.
    DeviceForgetsChosen,
    /// An import is an empty sequence.
    ImportIsEmpty,
    /// An import that does not fit is an empty sequence.
    ImportTakesAnything,
    /// An export has no token.
    ExportIsEmpty,
    /// Sequences weigh more than all of them do.
    WeighsTooMuch,
    /// It cuts anywhere and says that it can't.
    CutsUnclaimed,
    /// It gives up positions and says that it can cut anywhere.
    CutsOverclaimed,
    /// What is pushed out of the window has a part in the answer if it came in another piece.
    ForgetsInPieces,
    /// A step on the device works and the model does not say so.
    DeviceUnclaimed,
}

/// Longer than the sequences of all cases but those about long ones.
const WINDOW: NonZeroU32 = NonZeroU32::new(64).unwrap();

pub(crate) struct FlawedModel {
    inner: MockModel,
    info: ModelInfo,
    flaw: Flaw,
    ids: BTreeMap<SequenceId, SequenceId>,
    /// Tokens that the inner sequence has and this one's length does not count.
    hidden: BTreeMap<SequenceId, usize>,
    free: Vec<SequenceId>,
    next: u64,
    calls: Cell<u32>,
}

pub(crate) fn suite(flaw: Flaw) -> ModelSuite {
    ModelSuite::new(move || Ok(Box::new(FlawedModel::new(flaw)) as Box<dyn Model>))
}

impl FlawedModel {
    fn new(flaw: Flaw) -> Self {
        let on_device = matches!(
            flaw,
            Flaw::DeviceChoosesZero
                | Flaw::DeviceForgetsChosen
                | Flaw::DeviceDiscardCuts
                | Flaw::DeviceLengthAfterErr
                | Flaw::DeviceUnclaimed
        );
        let mut mock = MockBackend::builder()
            .context_length(128)
            .device_choice(on_device);
        if flaw == Flaw::CutsOverclaimed {
            mock = mock.sliding_window(WINDOW);
        }
        let inner = mock
            .build()
            .and_then(|backend| backend.model())
            .expect("sound settings");
        let mut info = inner.info().clone();
        if flaw == Flaw::LongerContext {
            info.context_length /= 2;
        }
        if flaw == Flaw::ShorterContext {
            info.context_length *= 2;
        }
        Self {
            inner,
            info,
            flaw,
            ids: BTreeMap::new(),
            hidden: BTreeMap::new(),
            free: Vec::new(),
            next: 0,
            calls: Cell::new(0),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn inner_id(&self, sequence: SequenceId) -> Result<SequenceId> {
        let unknown = if self.has(Flaw::WrongErrorKind) {
            Error::backend("mock", "find a sequence", "index out of bounds")
        } else {
            Error::UnknownSequence { id: sequence.get() }
        };
        self.ids.get(&sequence).copied().ok_or(unknown)
    }

    fn name(&mut self, inner: SequenceId) -> SequenceId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            SequenceId::new(self.next)
        });
        self.ids.insert(id, inner);
        id
    }

    fn forward_one(&mut self, run: &Run<'_>) -> Result<Vec<f32>> {
        let sequence = self.inner_id(run.sequence)?;
        if run.tokens.is_empty() && self.has(Flaw::EmptyRun) {
            return Ok(Vec::new());
        }
        let mut tokens = run.tokens.to_vec();
        if self.has(Flaw::InvalidTokenIsZero) {
            for token in &mut tokens {
                if *token as usize >= self.info.vocab_size {
                    *token = 0;
                }
            }
        }
        let mut wanted = run.logits;
        if self.has(Flaw::LastForAll) && wanted == LogitsWanted::All {
            wanted = LogitsWanted::Last;
        }
        let mut logits = Logits::new();
        let run = Run {
            sequence,
            tokens: &tokens,
            logits: wanted,
        };
        self.inner.forward(&[run], &mut logits)?;
        let mut rows: Vec<f32> = logits.rows(0).flatten().copied().collect();
        self.calls.set(self.calls.get() + 1);
        let differs =
            self.has(Flaw::SingleTokensDiffer) && tokens.len() == 1 || self.has(Flaw::Unrepeatable);
        if let (true, Some(logit)) = (differs, rows.first_mut()) {
            *logit += self.calls.get() as f32;
        }
        let long = self.inner.sequence_len(sequence)? > WINDOW.get() as usize;
        let forgets = self.has(Flaw::ForgetsInPieces) && long && tokens.len() < 60;
        if let (true, Some(logit)) = (forgets, rows.last_mut()) {
            *logit += 1.0;
        }
        if let (true, Some(logit)) = (self.has(Flaw::SeesOthers), rows.first_mut()) {
            *logit += self.inner.memory().sequences as f32;
        }
        if self.has(Flaw::InfoChanges) {
            "another".clone_into(&mut self.info.device);
        }
        Ok(rows)
    }

    /// Every run of a batch is checked before any of them is appended.
    fn check(&mut self, runs: &[Run<'_>]) -> Result<()> {
        let mut seen = Vec::new();
        for run in runs {
            let doubled = seen.contains(&run.sequence) && !self.has(Flaw::DoubledSequence);
            if doubled {
                return Err(Error::InvalidParameter {
                    field: engine_core::Field::Prompt,
                    value: "a sequence twice".to_owned(),
                    expected: "once each".into(),
                });
            }
            seen.push(run.sequence);
            // A copy shows whether the run would work.
            let id = self.inner_id(run.sequence)?;
            let copy = self.inner.fork(id)?;
            self.ids.insert(run.sequence, copy);
            let result = self.forward_one(run);
            self.ids.insert(run.sequence, id);
            self.inner.close(copy)?;
            result?;
        }
        Ok(())
    }
}

impl Model for FlawedModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        let inner = self.inner.open()?;
        if self.has(Flaw::NewHoldsAToken) {
            let run = Run {
                sequence: inner,
                tokens: &[0],
                logits: LogitsWanted::None,
            };
            self.inner.forward(&[run], &mut Logits::new())?;
        }
        Ok(self.name(inner))
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        let len = self.inner.sequence_len(self.inner_id(sequence)?)?;
        Ok(len - self.hidden.get(&sequence).copied().unwrap_or(0))
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        if !self.has(Flaw::LengthAfterErr) {
            self.check(runs)?;
        }
        let mut order: Vec<_> = (0..runs.len()).collect();
        if self.has(Flaw::BatchSorted) {
            order.sort_by_key(|i| runs[*i].sequence);
        }
        let mut rows = order
            .into_iter()
            .map(|i| self.forward_one(&runs[i]))
            .collect::<Result<Vec<_>>>()?;
        if self.has(Flaw::BatchMixUp) && rows.len() > 1 && rows[0].len() == rows[1].len() {
            rows.swap(0, 1);
        }
        logits.reset(self.info.vocab_size);
        for rows in &rows {
            logits.push_run(rows);
        }
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        let id = self.inner_id(sequence)?;
        let held = self.sequence_len(sequence)?;
        if len > held && self.has(Flaw::TruncateBeyond) {
            return Ok(());
        }
        if len <= held && self.has(Flaw::TruncateDoesNothing) {
            return Ok(());
        }
        if len < held && self.has(Flaw::TruncateLeavesTokens) {
            *self.hidden.entry(sequence).or_default() += held - len;
            return Ok(());
        }
        let more = usize::from(len < held && self.has(Flaw::TruncateCutsOneMore));
        self.inner.truncate(id, len.saturating_sub(more))
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let id = self.inner_id(sequence)?;
        let copy = match self.flaw {
            Flaw::ForkSharesState => id,
            Flaw::ForkIsEmpty => self.inner.open()?,
            _ => self.inner.fork(id)?,
        };
        Ok(self.name(copy))
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        let id = match self.inner_id(sequence) {
            Err(_) if self.has(Flaw::CloseTwice) => return Ok(()),
            other => other?,
        };
        self.ids.remove(&sequence);
        if self.has(Flaw::ReusedIds) {
            self.free.push(sequence);
        }
        if self.has(Flaw::CloseLeaks) || self.ids.values().any(|other| *other == id) {
            return Ok(());
        }
        self.inner.close(id)
    }

    fn can_truncate(&self) -> bool {
        !self.has(Flaw::CutsUnclaimed)
    }

    fn kv_bytes_of(&self, sequences: &[SequenceId]) -> u64 {
        if self.has(Flaw::WeighsTooMuch) && !sequences.is_empty() {
            return 1 << 40;
        }
        let inner: Vec<_> = sequences
            .iter()
            .filter_map(|sequence| self.ids.get(sequence).copied())
            .collect();
        self.inner.kv_bytes_of(&inner)
    }

    fn export(&mut self, sequence: SequenceId) -> Result<SequenceState> {
        let id = self.inner_id(sequence)?;
        if self.has(Flaw::ExportIsEmpty) {
            return Ok(SequenceState::default());
        }
        self.inner.export(id)
    }

    fn import(&mut self, state: &SequenceState) -> Result<SequenceId> {
        let inner = match self.inner.import(state) {
            Err(_) if self.has(Flaw::ImportTakesAnything) => self.inner.open()?,
            other => other?,
        };
        if self.has(Flaw::ImportIsEmpty) {
            self.inner.truncate(inner, 0)?;
        }
        Ok(self.name(inner))
    }

    fn memory(&self) -> MemoryReport {
        self.inner.memory()
    }

    fn trim(&mut self) -> Result<()> {
        if self.has(Flaw::TrimCuts) {
            for id in self.ids.values() {
                let len = self.inner.sequence_len(*id)?;
                self.inner.truncate(*id, len.saturating_sub(1))?;
            }
        }
        self.inner.trim()
    }

    fn chooses_on_device(&self) -> bool {
        self.inner.chooses_on_device() && !self.has(Flaw::DeviceUnclaimed)
    }

    fn step_greedy(&mut self, runs: &[DeviceRun<'_>]) -> Result<Vec<DeviceToken>> {
        if self.has(Flaw::DeviceLengthAfterErr) && runs.len() > 1 {
            let singly: Result<Vec<_>> = runs
                .iter()
                .map(|run| Ok(self.step_greedy(&[*run])?[0]))
                .collect();
            return singly;
        }
        let runs = runs
            .iter()
            .map(|run| {
                Ok(DeviceRun {
                    sequence: self.inner_id(run.sequence)?,
                    input: match run.input {
                        DeviceInput::Chosen(_) if self.has(Flaw::DeviceForgetsChosen) => {
                            DeviceInput::Tokens(&[0])
                        }
                        other => other,
                    },
                })
            })
            .collect::<Result<Vec<_>>>()?;
        self.inner.step_greedy(&runs)
    }

    fn read_token(&mut self, token: DeviceToken) -> Result<TokenId> {
        let chosen = self.inner.read_token(token)?;
        Ok(if self.has(Flaw::DeviceChoosesZero) {
            0
        } else {
            chosen
        })
    }

    fn discard_token(&mut self, token: DeviceToken) {
        if self.has(Flaw::DeviceDiscardCuts) {
            for id in self.ids.values() {
                let len = self.inner.sequence_len(*id).unwrap_or(0);
                let _ = self.inner.truncate(*id, len.saturating_sub(1));
            }
        }
        self.inner.discard_token(token);
    }
}
