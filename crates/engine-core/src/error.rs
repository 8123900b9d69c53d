//! What can go wrong, in words for a person, each with what to do about it.

use std::{borrow::Cow, path::PathBuf};

use crate::{Field, TokenId};

/// A cause from another library, with its type erased.
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything a backend or an engine reports.
///
/// `Display` says what happened in one sentence; [`Error::suggestion`] says what to do.
/// No variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backend can't run on this machine, or in this build.
    #[error("the {backend} backend is not available: {reason}")]
    Unavailable {
        /// The backend that was asked for.
        backend: String,
        /// Why it can't run here.
        reason: String,
    },

    /// Nothing lies at the given place.
    #[error("there is no model at {}", path.display())]
    ModelNotFound {
        /// Where a model was expected.
        path: PathBuf,
    },

    /// A model's file is missing, damaged, or contradicts another.
    #[error("the model file {} can't be used: {reason}", path.display())]
    InvalidModel {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The files are sound, but describe something that this backend does not implement.
    #[error("the {backend} backend can't run this model: {reason}")]
    UnsupportedModel {
        /// The backend that was asked.
        backend: String,
        /// What it lacks: an architecture, a tensor type, a rope variant.
        reason: String,
    },

    /// A value lies outside its range.
    #[error("{field} must be {expected}, not {value}")]
    InvalidParameter {
        /// The field of the request, the options or the configuration.
        field: Field,
        /// The value given, as text.
        value: String,
        /// The range, in words: "a number from 0 to 10".
        expected: Cow<'static, str>,
    },

    /// The backend can't honour a field of the request, and the request was strict.
    #[error("the {backend} backend does not support {field}")]
    Unsupported {
        /// The backend that was asked.
        backend: String,
        /// What it can't honour.
        field: Field,
    },

    /// The backend could honour a field of the request, and this model can't.
    #[error("this model does not support {field}: {reason}")]
    UnsupportedByModel {
        /// What it can't honour.
        field: Field,
        /// What the model's files lack for it.
        reason: Cow<'static, str>,
    },
    /// The answer's form can't be enforced.
    #[error("the {field} can't be honoured: {reason}")]
    InvalidConstraint {
        /// The field of the request that holds the form.
        field: Field,
        /// What of it can't be enforced, or is wrong.
        reason: String,
    },

    /// The prompt leaves no room for an answer.
    #[error("the prompt has {prompt_tokens} tokens, and the context holds {context_length}")]
    ContextOverflow {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens that the context holds, prompt and answer together.
        context_length: usize,
    },

    /// Text could not be turned into tokens, or tokens into text.
    #[error("the tokenizer failed: {reason}")]
    Tokenizer {
        /// What it said.
        reason: String,
    },

    /// The model's chat template could not be compiled or rendered.
    #[error("the chat template failed: {reason}")]
    ChatTemplate {
        /// What the template engine, or the template itself, said.
        reason: String,
    },

    /// A token id that the vocabulary does not have.
    #[error("token {token} is not in the vocabulary of {vocab_size}")]
    InvalidToken {
        /// The id given.
        token: TokenId,
        /// Size of the vocabulary.
        vocab_size: usize,
    },

    /// A sequence id that the model never gave out, or that was closed.
    #[error("sequence {id} is not open")]
    UnknownSequence {
        /// The id given.
        id: u64,
    },

    /// A sequence can't be cut that far back: it has given up what it would need there.
    #[error("the sequence can't be cut to {len} tokens: what it holds reaches back to {earliest}")]
    CutTooFar {
        /// The length asked for.
        len: usize,
        /// The shortest length, apart from 0, that it can be cut to.
        earliest: usize,
    },

    /// A saved prompt cache, or a sequence's state in it, is not one of this model.
    #[error("the saved state can't be used: {reason}")]
    InvalidState {
        /// What is wrong with it.
        reason: String,
    },

    /// The weights or the KV cache don't fit into memory.
    #[error("not enough memory for {purpose}: {reason}")]
    OutOfMemory {
        /// What the memory was for.
        purpose: String,
        /// What the allocator said, or the figures.
        reason: String,
    },

    /// The engine has been unloaded.
    #[error("the model {model} has been unloaded")]
    Unloaded {
        /// Name of the model.
        model: String,
    },

    /// The caller cancelled the operation.
    #[error("{operation} was cancelled")]
    Cancelled {
        /// What was cancelled.
        operation: &'static str,
    },

    /// The backend failed inside; the cause is in `source`.
    #[error("the {backend} backend failed to {operation}")]
    Backend {
        /// The backend that failed.
        backend: String,
        /// What it was doing, as a verb phrase: "evaluate a decoding step".
        operation: String,
        /// What its library said.
        #[source]
        source: Source,
    },
}

impl Error {
    /// Wraps another library's error.
    pub fn backend(
        backend: impl Into<String>,
        operation: impl Into<String>,
        source: impl Into<Source>,
    ) -> Self {
        Self::Backend {
            backend: backend.into(),
            operation: operation.into(),
            source: source.into(),
        }
    }

    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> Cow<'static, str> {
        match self {
            Self::Unavailable { backend, .. } if backend == "mlx" => {
                "on Linux run `cargo xtask setup` and build again, or choose another backend".into()
            }
            Self::Unavailable { .. } => "choose another backend".into(),
            Self::ModelNotFound { .. } => {
                "check the path: it must be a folder with config.json and *.safetensors, or a GGUF file"
                    .into()
            }
            Self::InvalidModel { .. } => {
                "fetch the file again from its source and compare its size and checksum".into()
            }
            Self::UnsupportedModel { .. } => {
                "use a model of a supported architecture and quantization, or another backend".into()
            }
            Self::InvalidParameter { field, .. } => {
                format!("change {field} to a value in its range").into()
            }
            Self::Unsupported { field, .. } => format!(
                "leave {field} at its default, choose another backend, or send the request in lenient mode"
            )
            .into(),
            Self::UnsupportedByModel { field, .. } => {
                format!("leave {field} at its default, or use a model made for it").into()
            }
            Self::InvalidConstraint { .. } => {
                "change the part that the reason names, or leave it out and check the answer yourself"
                    .into()
            }
            Self::ContextOverflow { .. } => {
                "shorten the prompt, or load the model with a larger context".into()
            }
            Self::Tokenizer { .. } => {
                "check that tokenizer.json belongs to this model and is whole".into()
            }
            Self::ChatTemplate { .. } => {
                "check the messages against what the template accepts, or send plain text".into()
            }
            Self::InvalidToken { .. } => {
                "use ids that this model's own tokenizer produced".into()
            }
            Self::UnknownSequence { .. } => "open a sequence before using it".into(),
            Self::CutTooFar { earliest, .. } => format!(
                "cut it to 0 or at least {earliest} tokens, or keep a fork of the place to come back to"
            )
            .into(),
            Self::InvalidState { .. } => {
                "save it again with the model, the backend and the settings that are to load it"
                    .into()
            }
            Self::OutOfMemory { .. } => {
                "use a smaller model or context, or free memory by unloading other models".into()
            }
            Self::Unloaded { .. } => "load the model again".into(),
            Self::Cancelled { .. } => "start it again if the cancellation was not meant".into(),
            Self::Backend { .. } => {
                "look at the cause; if it repeats with the same input, report it with the model's name"
                    .into()
            }
        }
    }

    /// Whether the same call may succeed later with nothing changed by the caller.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. })
    }
}
