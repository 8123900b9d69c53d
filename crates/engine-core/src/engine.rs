//! One loaded model, as an application holds it.

use std::{fmt, path::PathBuf, time::Duration};

use futures_core::stream::BoxStream;

use crate::{
    BoxFuture, Capabilities, GenerationEvent, MemoryReport, Message, ModelInfo, Result, TokenId,
    ValidRequest,
};

/// The events of one generation. Owned, so it can be spawned; dropping it cancels.
pub type GenerationStream = BoxStream<'static, Result<GenerationEvent>>;

/// What is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineInfo {
    /// The name it was loaded under.
    pub name: String,
    /// Where it was loaded from; `None` if from no file.
    pub path: Option<PathBuf>,
    /// The model and the backend that runs it.
    pub model: ModelInfo,
    /// How long loading took.
    pub load_time: Duration,
}

/// One loaded model.
///
/// The contract below is what the crate `engine-conformance` tests. For conveniences see
/// [`EngineExt`](crate::EngineExt), which every engine has.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// What is loaded; the same on every call.
    fn info(&self) -> &EngineInfo;

    /// What this engine honours.
    fn capabilities(&self) -> Capabilities;

    /// Starts a generation.
    ///
    /// # Behavior
    /// - The stream is any number of `Prefill`, any number of `Delta`, then exactly one `Done`.
    /// - Nothing comes after `Done` or after an `Err`.
    /// - The joined text equals the decoded tokens, cut before the earliest stop string.
    /// - No delta splits a character.
    /// - A delta has a log-probability for each of its tokens if the request asks for them.
    /// - An answer under a constraint that ends with
    ///   [`FinishReason::EndOfText`](crate::FinishReason::EndOfText) or
    ///   [`FinishReason::ConstraintMet`](crate::FinishReason::ConstraintMet) has the form asked for.
    /// - A seed gives the same answer whatever else runs.
    /// - Dropping the stream frees its sequence within one step of the model.
    /// - A failed generation leaves the engine able to run the next.
    /// - The request's ignored fields are in the summary.
    ///
    /// # Errors
    /// At once: [`Error::Unloaded`](crate::Error::Unloaded). In the stream: whatever is found when
    /// the text is tokenized and the model runs, among them
    /// [`Error::ContextOverflow`](crate::Error::ContextOverflow) and
    /// [`Error::InvalidConstraint`](crate::Error::InvalidConstraint).
    fn generate(&self, request: ValidRequest) -> Result<GenerationStream>;

    /// Text to tokens, with the special tokens that the model expects around a plain text.
    fn tokenize(&self, text: &str) -> Result<Vec<TokenId>>;

    /// Tokens to text, special tokens left out.
    fn detokenize(&self, tokens: &[TokenId]) -> Result<String>;

    /// Messages to the text that the model reads, its answer about to begin.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) with
    /// [`Field::Messages`](crate::Field::Messages) if the model has no chat template.
    fn render_chat(&self, messages: &[Message]) -> Result<String>;

    /// The memory that the model holds now.
    fn memory(&self) -> BoxFuture<Result<MemoryReport>>;

    /// Gives back memory kept for reuse.
    fn trim(&self) -> BoxFuture<Result<()>>;

    /// Ends running generations with [`Error::Unloaded`](crate::Error::Unloaded) and frees the
    /// model. Calling it again does nothing and succeeds. Dropping the last handle does the same
    /// without waiting.
    fn unload(&self) -> BoxFuture<Result<()>>;
}
