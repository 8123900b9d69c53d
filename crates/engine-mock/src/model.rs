//! The mock as a model: sequences of tokens in, made-up logits out.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    thread,
};

use engine_core::{
    DeviceInput, DeviceRun, DeviceToken, Error, Field, Logits, LogitsWanted, MemoryReport, Model,
    ModelInfo, Result, Run, SequenceId, SequenceState, StateTensor, StateType, TokenId,
};

use crate::{
    answers::LogitSource,
    backend::NAME,
    fault::{Fault, Kind, Place},
    pace::Pace,
    prefix::Sequence,
};

/// A model whose logits are a function of the tokens before them, and of the mock's settings.
///
/// Made by [`MockBackend::model`](crate::MockBackend::model), for tests of what runs models.
/// Applications load an engine instead.
#[derive(Debug)]
pub struct MockModel {
    info: ModelInfo,
    source: LogitSource,
    pace: Pace,
    faults: Vec<Fault>,
    on_device: bool,
    window: Option<usize>,
    sequences: BTreeMap<SequenceId, Sequence>,
    /// What the pretended device has chosen and nobody has read: `None` where its step gave no
    /// numbers.
    chosen: BTreeMap<u64, Option<TokenId>>,
    next_sequence: u64,
    next_chosen: u64,
    steps: u64,
}

/// The tensor of an exported sequence.
const TOKENS: &str = "tokens";

/// What a model is made from.
pub(crate) struct Parts {
    pub(crate) info: ModelInfo,
    pub(crate) source: LogitSource,
    pub(crate) pace: Pace,
    pub(crate) faults: Vec<Fault>,
    pub(crate) on_device: bool,
    /// Positions that a sequence keeps; all if `None`.
    pub(crate) window: Option<usize>,
}

/// One sequence's part in a batch.
struct Piece<'a> {
    sequence: SequenceId,
    tokens: Cow<'a, [TokenId]>,
    wanted: LogitsWanted,
}

/// What a step does with its logits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Nan,
}

impl MockModel {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            info,
            source,
            pace,
            faults,
            on_device,
            window,
        } = parts;
        Self {
            info,
            source,
            pace,
            faults,
            on_device,
            window,
            sequences: BTreeMap::new(),
            chosen: BTreeMap::new(),
            next_sequence: 0,
            next_chosen: 0,
            steps: 0,
        }
    }

    fn sequence(&self, id: SequenceId) -> Result<&Sequence> {
        self.sequences
            .get(&id)
            .ok_or(Error::UnknownSequence { id: id.get() })
    }

    fn insert(&mut self, sequence: Sequence) -> SequenceId {
        let id = SequenceId::new(self.next_sequence);
        self.next_sequence += 1;
        self.sequences.insert(id, sequence);
        id
    }

    /// Everything that can be wrong with a batch, before anything is changed.
    fn check(&self, batch: &[Piece<'_>]) -> Result<()> {
        let mut seen = BTreeSet::new();
        for Piece {
            sequence, tokens, ..
        } in batch
        {
            let held = self.sequence(*sequence)?.len();
            if !seen.insert(*sequence) {
                return Err(invalid_run("a sequence that comes twice"));
            }
            if tokens.is_empty() {
                return Err(invalid_run("a run without tokens"));
            }
            let vocab_size = self.info.vocab_size;
            if let Some(token) = tokens.iter().find(|token| **token as usize >= vocab_size) {
                return Err(Error::InvalidToken {
                    token: *token,
                    vocab_size,
                });
            }
            let all = held + tokens.len();
            if all > self.info.context_length {
                return Err(Error::ContextOverflow {
                    prompt_tokens: all,
                    context_length: self.info.context_length,
                });
            }
        }
        Ok(())
    }

    /// Counts a step, lets its time pass, and lets its fault strike.
    fn take_step(&mut self, lengths: impl Iterator<Item = usize>) -> Result<Health> {
        let step = self.steps;
        self.steps += 1;
        self.pace.take_step(lengths);
        let mut health = Health::Sound;
        for fault in &self.faults {
            if !fault.strikes(Place::Step, step) {
                continue;
            }
            match &fault.kind {
                Kind::Error(error) => return Err(error()),
                Kind::Nan => health = Health::Nan,
                Kind::Panic => simulated_panic("a step"),
                Kind::Stall(door) => door.pass(),
            }
        }
        Ok(health)
    }

    /// Appends a batch and computes each run's rows. A batch that fails leaves no trace.
    fn append(&mut self, batch: &[Piece<'_>]) -> Result<Vec<Vec<f32>>> {
        self.check(batch)?;
        let health = self.take_step(batch.iter().map(|piece| piece.tokens.len()))?;
        let lengths = batch
            .iter()
            .map(|piece| {
                let sequence = self.sequence(piece.sequence)?;
                Ok((sequence.len(), sequence.longest()))
            })
            .collect::<Result<Vec<_>>>()?;
        let rows = batch
            .iter()
            .map(|piece| self.append_run(piece, health))
            .collect();
        if Result::is_err(&rows) {
            for (piece, (len, longest)) in batch.iter().zip(lengths) {
                if let Some(sequence) = self.sequences.get_mut(&piece.sequence) {
                    sequence.undo(len, longest);
                }
            }
        }
        rows
    }

    fn append_run(&mut self, piece: &Piece<'_>, health: Health) -> Result<Vec<f32>> {
        let Piece {
            sequence: id,
            tokens,
            wanted,
        } = piece;
        let Some(sequence) = self.sequences.get_mut(id) else {
            return Err(Error::UnknownSequence { id: id.get() });
        };
        let mut rows = Vec::new();
        for (i, token) in tokens.iter().enumerate() {
            sequence.push(*token);
            let is_wanted = match wanted {
                LogitsWanted::None => false,
                LogitsWanted::All => true,
                _ => i + 1 == tokens.len(),
            };
            if is_wanted {
                let begin = rows.len();
                rows.resize(begin + self.info.vocab_size, f32::NAN);
                if health == Health::Sound {
                    self.source.fill(sequence.prefix(), &mut rows[begin..])?;
                }
            }
        }
        Ok(rows)
    }
}

impl Model for MockModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        Ok(self.insert(Sequence::new()))
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        self.sequence(sequence).map(Sequence::len)
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        let batch: Vec<_> = runs
            .iter()
            .map(|run| Piece {
                sequence: run.sequence,
                tokens: Cow::Borrowed(run.tokens),
                wanted: run.logits,
            })
            .collect();
        let rows = self.append(&batch)?;
        logits.reset(self.info.vocab_size);
        for rows in rows {
            logits.push_run(&rows);
        }
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        let held = self.sequence(sequence)?.len();
        if len > held {
            return Err(Error::InvalidParameter {
                field: Field::Prompt,
                value: format!("a cut to {len} tokens"),
                expected: Cow::Owned(format!("cut to at most the {held} tokens that it has")),
            });
        }
        let earliest = self.earliest_cut(sequence)?;
        if len != 0 && len < earliest {
            return Err(Error::CutTooFar { len, earliest });
        }
        if let Some(sequence) = self.sequences.get_mut(&sequence) {
            sequence.truncate(len);
        }
        Ok(())
    }

    fn can_truncate(&self) -> bool {
        self.window
            .is_none_or(|window| window >= self.info.context_length)
    }

    fn earliest_cut(&self, sequence: SequenceId) -> Result<usize> {
        Ok(self.sequence(sequence)?.earliest_cut(self.window))
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let copy = self.sequence(sequence)?.clone();
        Ok(self.insert(copy))
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        match self.sequences.remove(&sequence) {
            Some(_) => Ok(()),
            None => Err(Error::UnknownSequence { id: sequence.get() }),
        }
    }

    fn memory(&self) -> MemoryReport {
        let mut report = MemoryReport::default();
        report.weight_bytes = self.info.weight_bytes;
        report.kv_bytes = self.sequences.values().map(Sequence::bytes).sum();
        report.sequences = self.sequences.len() as u32;
        report
    }

    fn kv_bytes_of(&self, sequences: &[SequenceId]) -> u64 {
        sequences
            .iter()
            .filter_map(|id| self.sequences.get(id))
            .map(Sequence::bytes)
            .sum()
    }

    fn export(&mut self, sequence: SequenceId) -> Result<SequenceState> {
        let tokens = self.sequence(sequence)?.prefix().tokens;
        Ok(SequenceState {
            len: tokens.len(),
            tensors: vec![StateTensor {
                name: TOKENS.to_owned(),
                dtype: StateType::U32,
                shape: vec![tokens.len()],
                data: tokens
                    .iter()
                    .flat_map(|token| token.to_le_bytes())
                    .collect(),
            }],
        })
    }

    fn import(&mut self, state: &SequenceState) -> Result<SequenceId> {
        let tensor = state
            .tensor(TOKENS, StateType::U32, &[state.len])
            .ok_or_else(|| Error::InvalidState {
                reason: "it has not the tokens that the mock keeps".to_owned(),
            })?;
        let mut sequence = Sequence::new();
        let (tokens, _) = tensor.data.as_chunks::<4>();
        for token in tokens {
            sequence.push(TokenId::from_le_bytes(*token));
        }
        Ok(self.insert(sequence))
    }

    fn trim(&mut self) -> Result<()> {
        Ok(())
    }

    fn chooses_on_device(&self) -> bool {
        self.on_device
    }

    fn step_greedy(&mut self, runs: &[DeviceRun<'_>]) -> Result<Vec<DeviceToken>> {
        if !self.on_device {
            return Err(self.no_device_choice());
        }
        let batch = runs
            .iter()
            .map(|run| {
                let tokens = match run.input {
                    DeviceInput::Tokens(tokens) => Cow::Borrowed(tokens),
                    DeviceInput::Chosen(token) => Cow::Owned(vec![self.chosen_token(token)?]),
                    _ => return Err(invalid_run("an input of a kind that is not known here")),
                };
                Ok(Piece {
                    sequence: run.sequence,
                    tokens,
                    wanted: LogitsWanted::Last,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let rows = self.append(&batch)?;
        let mut tokens = Vec::with_capacity(rows.len());
        for row in rows {
            let token = DeviceToken::new(self.next_chosen);
            self.next_chosen += 1;
            self.chosen.insert(token.get(), likeliest(&row));
            tokens.push(token);
        }
        Ok(tokens)
    }

    fn read_token(&mut self, token: DeviceToken) -> Result<TokenId> {
        if !self.on_device {
            return Err(self.no_device_choice());
        }
        let chosen = self.chosen_token(token);
        self.chosen.remove(&token.get());
        chosen
    }

    fn discard_token(&mut self, token: DeviceToken) {
        self.chosen.remove(&token.get());
    }
}

impl MockModel {
    /// A token that an earlier step chose.
    fn chosen_token(&self, token: DeviceToken) -> Result<TokenId> {
        let failed = |reason| Err(Error::backend(NAME, "choose a token", reason));
        match self.chosen.get(&token.get()) {
            None => failed("no step chose it, or it has been read"),
            Some(None) => failed("the logits are not numbers"),
            Some(Some(chosen)) => Ok(*chosen),
        }
    }
}

/// The first of the largest numbers; `None` if one is not a number.
fn likeliest(row: &[f32]) -> Option<TokenId> {
    let mut best = 0;
    for (token, logit) in row.iter().enumerate() {
        if logit.is_nan() {
            return None;
        }
        if *logit > row[best] {
            best = token;
        }
    }
    Some(best as TokenId)
}

fn invalid_run(value: &str) -> Error {
    Error::InvalidParameter {
        field: Field::Prompt,
        value: value.to_owned(),
        expected: Cow::Borrowed("runs of at least one token, each of another sequence"),
    }
}

/// Panics on purpose, where the caller asked for it.
pub(crate) fn simulated_panic(what: &str) -> ! {
    // As a model's library would. `resume_unwind` leaves standard error alone: the panic is no
    // defect of this program.
    std::panic::resume_unwind(Box::new(format!(
        "{what} panicked in {:?}, as the mock was asked to",
        thread::current().name().unwrap_or("a thread")
    )))
}
