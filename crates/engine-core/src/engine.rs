//! One loaded model, as an application holds it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_core::stream::BoxStream;

use crate::{
    BoxFuture, Capabilities, Embeddings, Error, Field, GenerationEvent, MemoryReport, Message,
    ModelInfo, PromptCacheReport, Result, TokenId, ValidRequest,
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
    /// - The joined text equals the decoded tokens, cut before the earliest stop string; where a
    ///   chat's answer has thoughts or calls, as [`GenerationEvent`] says.
    /// - The tokens of all events, in order, are those of the answer.
    /// - A call in a `ToolCall` is of a tool of the request, with arguments that fit its schema.
    /// - Without tools that are offered there is none of `ToolCallDelta`, `ToolCall` and
    ///   `InvalidToolCall`.
    /// - What a `ToolCallDelta` shows is what the `ToolCall` says that follows; each call that is
    ///   shown ends in one, or in an `InvalidToolCall`.
    /// - A limit on thinking ends the thought when it is reached, and the answer goes on.
    /// - No delta splits a character.
    /// - A delta has a log-probability for each of its tokens if the request asks for them.
    /// - An answer under a constraint that ends with
    ///   [`FinishReason::EndOfText`](crate::FinishReason::EndOfText) or
    ///   [`FinishReason::ConstraintMet`](crate::FinishReason::ConstraintMet) has the form asked for.
    /// - A seed gives the same answer whatever else runs.
    /// - Dropping the stream frees its sequence within one step of the model.
    /// - A failed generation leaves the engine able to run the next.
    /// - The request's ignored fields are in the summary.
    /// - What a cache of earlier prompts spares changes how long an answer takes, never the answer,
    ///   but for rounding.
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

    /// The text that the model reads for a request, with its tools and its switch for thinking.
    /// `None` for a prompt of tokens.
    ///
    /// # Errors
    /// Those of [`Engine::generate`] that are found while the text is made.
    fn prompt_text(&self, request: &ValidRequest) -> Result<Option<String>>;
    /// Texts to vectors, pooled as the model's own files say.
    ///
    /// Generations go on between one group of texts and the next; dropping the future cancels.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with [`Field::Embeddings`] if the model is not made for it, which
    /// [`Capabilities::embeddings`] says beforehand; [`Error::ContextOverflow`] for a text that is
    /// too long; [`Error::InvalidParameter`] for one without tokens.
    fn embed(&self, texts: Vec<String>) -> BoxFuture<Result<Embeddings>> {
        let _ = texts;
        let error = Error::Unsupported {
            backend: self.info().model.backend.name.clone(),
            field: Field::Embeddings,
        };
        Box::pin(std::future::ready(Err(error)))
    }

    /// The memory that the model holds now.
    fn memory(&self) -> BoxFuture<Result<MemoryReport>>;

    /// Gives back memory kept for reuse, cached prompts included.
    fn trim(&self) -> BoxFuture<Result<()>>;

    /// Writes the cached prompts to a file, which is whole or untouched.
    ///
    /// The file belongs to this model: its weights, its backend and its settings. Generations wait
    /// while it is written.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with [`Field::PromptCache`] where prompts can't be saved.
    fn save_prompt_cache(&self, path: &Path) -> BoxFuture<Result<PromptCacheReport>> {
        let _ = path;
        self.no_saved_prompts()
    }

    /// Adds the prompts of a file that [`Engine::save_prompt_cache`] wrote, as far as the budget of
    /// the cache goes.
    ///
    /// # Errors
    /// [`Error::InvalidState`] if the file is damaged or was written by another model or with other
    /// settings; then nothing is added.
    fn load_prompt_cache(&self, path: &Path) -> BoxFuture<Result<PromptCacheReport>> {
        let _ = path;
        self.no_saved_prompts()
    }

    /// The error of the default methods above.
    #[doc(hidden)]
    fn no_saved_prompts(&self) -> BoxFuture<Result<PromptCacheReport>> {
        let error = Error::Unsupported {
            backend: self.info().model.backend.name.clone(),
            field: Field::PromptCache,
        };
        Box::pin(std::future::ready(Err(error)))
    }

    /// Ends running generations with [`Error::Unloaded`](crate::Error::Unloaded) and frees the
    /// model. Calling it again does nothing and succeeds. Dropping the last handle does the same
    /// without waiting.
    fn unload(&self) -> BoxFuture<Result<()>>;
}
