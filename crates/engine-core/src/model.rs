//! What a backend author writes: sequences of tokens in, logits out.

use serde::{Deserialize, Serialize};

use crate::{
    BackendInfo, ComputeType, Error, Field, Logits, MemoryReport, Pooling, Quantization, Result,
    SequenceState, TokenId,
};

/// What a loaded model is, and what runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// What runs it.
    pub backend: BackendInfo,
    /// The device, in words: "CPU", "Apple M3 (Metal)".
    pub device: String,
    /// The architecture: `model_type` of `config.json`.
    pub architecture: String,
    /// Numbers in a row of logits.
    pub vocab_size: usize,
    /// Tokens that a sequence may hold.
    pub context_length: usize,
    /// The number type of activations.
    pub compute: ComputeType,
    /// How most weights are quantized; `None` if they are not.
    pub quantization: Option<Quantization>,
    /// Weights, in bytes as held in memory.
    pub weight_bytes: u64,
}

/// An open sequence of a [`Model`]: its tokens, as keys and values in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(u64);

impl SequenceId {
    /// Made by a model, which never gives out the same number twice.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// For which of a run's positions the logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogitsWanted {
    /// None: a piece of a prompt with more to come.
    None,
    /// The last: what comes next.
    Last,
    /// All, in order: to score a text.
    All,
}

/// Tokens to append to one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The sequence. No sequence comes twice in a batch.
    pub sequence: SequenceId,
    /// The tokens, at least one.
    pub tokens: &'a [TokenId],
    /// Which logits to return.
    pub logits: LogitsWanted,
}

/// A token that was chosen on the device and that the host has not seen yet.
///
/// It is read once, by [`Model::read_token`]; until then it can be the input of a further step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceToken(u64);

impl DeviceToken {
    /// Made by a model.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a step on the device appends.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DeviceInput<'a> {
    /// Tokens that the host knows, at least one.
    Tokens(&'a [TokenId]),
    /// The token that an earlier step chose.
    Chosen(DeviceToken),
}

/// One sequence's part in a step on the device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRun<'a> {
    /// The sequence. No sequence comes twice in a batch.
    pub sequence: SequenceId,
    /// What to append.
    pub input: DeviceInput<'a>,
}

/// A model with its caches. It lives on one thread and need not be `Send`.
///
/// The crate `engine-runtime` turns any `Model` into an [`Engine`](crate::Engine) with streaming,
/// sampling, chat templates, stop strings and batching.
///
/// A token id outside the vocabulary, an unknown sequence, an empty run and a sequence beyond the
/// context are errors, never panics.
pub trait Model {
    /// What it is; the same on every call.
    fn info(&self) -> &ModelInfo;

    /// Opens an empty sequence.
    fn open(&mut self) -> Result<SequenceId>;

    /// Tokens in the sequence.
    fn sequence_len(&self, sequence: SequenceId) -> Result<usize>;

    /// Appends a batch of runs and computes their logits: run `i` of `logits` belongs to
    /// `runs[i]`.
    ///
    /// # Behavior
    /// - A batch gives what its runs give one by one, up to rounding.
    /// - After an `Err` every sequence of the batch has the length that it had before.
    ///
    /// # Errors
    /// [`Error::UnknownSequence`], [`Error::InvalidToken`], [`Error::ContextOverflow`],
    /// [`Error::InvalidParameter`] for an empty run or a sequence that comes twice,
    /// [`Error::OutOfMemory`], or what the backend's library said.
    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()>;

    /// Cuts the sequence back to its first `len` tokens.
    ///
    /// # Behavior
    /// - What follows is as if the cut tokens had never been there.
    /// - A `len` beyond the sequence's own is [`Error::InvalidParameter`].
    /// - A `len` other than 0 below [`Model::earliest_cut`] is [`Error::CutTooFar`], and changes
    ///   nothing.
    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()>;

    /// Whether [`Model::truncate`] can cut every sequence anywhere. If not,
    /// [`Model::earliest_cut`] says how far back each can be cut, and whoever wants to come back
    /// further keeps a [`Model::fork`] of the place.
    fn can_truncate(&self) -> bool {
        true
    }

    /// The shortest length, apart from 0, to which [`Model::truncate`] can cut the sequence; every
    /// length from there to its own will do.
    ///
    /// 0 where nothing was given up. A sequence whose layers have a sliding window gives up what no
    /// later token sees, and goes back only as far as the windows still reach; a recurrent one can
    /// go back to no place but its own end.
    ///
    /// # Errors
    /// [`Error::UnknownSequence`].
    fn earliest_cut(&self, sequence: SequenceId) -> Result<usize> {
        let len = self.sequence_len(sequence)?;
        Ok(if self.can_truncate() { 0 } else { len })
    }

    /// Opens a copy of the sequence; neither sees what becomes of the other.
    ///
    /// It should share what the two have in common: a cache of prompts forks at every hit.
    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId>;

    /// Frees the sequence.
    fn close(&mut self, sequence: SequenceId) -> Result<()>;

    /// Memory held now.
    fn memory(&self) -> MemoryReport;

    /// Bytes of the caches of these sequences; what several share counts once.
    ///
    /// A cache of prompts keeps to its budget by this number. The default is all that caches take,
    /// which makes that cache smaller than it could be.
    fn kv_bytes_of(&self, sequences: &[SequenceId]) -> u64 {
        match sequences {
            [] => 0,
            _ => self.memory().kv_bytes,
        }
    }

    /// A copy of the sequence's cache, from which [`Model::import`] makes the sequence again, in
    /// this process or another one that runs the same model with the same settings.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with [`Field::PromptCache`] if the model can't, as by default.
    fn export(&mut self, sequence: SequenceId) -> Result<SequenceState> {
        let _ = sequence;
        Err(self.no_states())
    }

    /// Opens a sequence with the content of an export.
    ///
    /// # Behavior
    /// - It continues as the exported one would.
    /// - A state that this model can't have made is an error, and opens nothing.
    ///
    /// # Errors
    /// [`Error::InvalidState`]; [`Error::Unsupported`] as [`Model::export`].
    fn import(&mut self, state: &SequenceState) -> Result<SequenceId> {
        let _ = state;
        Err(self.no_states())
    }

    /// Reads texts and pools the hidden states of each, behind the final norm, into a vector. No
    /// sequence stays open.
    ///
    /// # Behavior
    /// - Several texts give what each gives alone, up to rounding.
    ///
    /// # Errors
    /// As [`Model::forward`], an empty text counting as an empty run;
    /// [`Error::Unsupported`] with [`Field::Embeddings`] if the model can't, as by default.
    fn embed(&mut self, texts: &[&[TokenId]], pooling: Pooling) -> Result<Vec<Vec<f32>>> {
        let _ = (texts, pooling);
        Err(Error::Unsupported {
            backend: self.info().backend.name.clone(),
            field: Field::Embeddings,
        })
    }

    /// Gives back memory kept for reuse.
    fn trim(&mut self) -> Result<()>;

    /// Whether [`Model::step_greedy`] works. Then greedy requests never wait for the host.
    fn chooses_on_device(&self) -> bool {
        false
    }

    /// Starts a step and chooses each run's likeliest next token on the device, without waiting
    /// for it. Token `i` belongs to `runs[i]`.
    ///
    /// # Errors
    /// As [`Model::forward`]; what fails while the device computes comes from
    /// [`Model::read_token`].
    fn step_greedy(&mut self, runs: &[DeviceRun<'_>]) -> Result<Vec<DeviceToken>> {
        let _ = runs;
        Err(self.no_device_choice())
    }

    /// Waits for a token chosen on the device. Every token is read once.
    fn read_token(&mut self, token: DeviceToken) -> Result<TokenId> {
        let _ = token;
        Err(self.no_device_choice())
    }

    /// Drops a token that nobody will read.
    fn discard_token(&mut self, token: DeviceToken) {
        let _ = token;
    }

    /// The error of a model that exports nothing.
    #[doc(hidden)]
    fn no_states(&self) -> Error {
        Error::Unsupported {
            backend: self.info().backend.name.clone(),
            field: Field::PromptCache,
        }
    }

    /// The error of the default methods above.
    #[doc(hidden)]
    fn no_device_choice(&self) -> Error {
        Error::backend(
            self.info().backend.name.clone(),
            "choose a token on the device",
            "this model chooses on the host; ask chooses_on_device first",
        )
    }
}
