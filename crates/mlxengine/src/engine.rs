//! The engine that applications hold.

use std::{path::Path, sync::Arc};

use engine_core::{
    BackendInfo, BoxFuture, Capabilities, Completion, Embeddings, Engine, EngineExt, EngineInfo,
    GenerateParams, GenerateRequest, GenerationStream, MemoryReport, Message, Prompt,
    PromptCacheReport, Result, TextStream, TokenId,
};

use crate::{Load, LoadSource, load::Keep};

/// A loaded model.
///
/// Cloning is cheap and gives another handle on the same model; the model is freed when the last
/// handle and the last running generation are dropped, or by [`InferenceEngine::unload`].
///
/// A prompt is anything that turns into a [`Prompt`]: a text to be continued, chat messages, or
/// tokens. Settings are [`GenerateParams`], or `None` for those of the
/// [`ModelConfiguration`](crate::ModelConfiguration). For
/// lenience towards unsupported settings, write a [`GenerateRequest`] and call
/// [`InferenceEngine::start`].
#[derive(Clone, Debug)]
pub struct InferenceEngine {
    engine: Arc<dyn Engine>,
    params: Arc<GenerateParams>,
    /// What must live as long as the model, for the sake of its drop.
    keep: Option<Keep>,
}

impl InferenceEngine {
    /// Begins to load a model: set what you need, then `.await`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) if the configuration is out of
    /// range, [`Error::Unavailable`](crate::Error::Unavailable) with the reason of every backend
    /// tried if none can run here, and what the chosen backend says of the model.
    pub fn load(source: impl Into<LoadSource>) -> Load {
        Load::new(source.into())
    }

    /// Wraps an engine that was loaded by other means; `params` serve requests that bring none.
    pub fn new(engine: Arc<dyn Engine>, params: GenerateParams) -> Self {
        Self {
            engine,
            params: Arc::new(params),
            keep: None,
        }
    }

    pub(crate) fn keeping(mut self, keep: Option<Keep>) -> Self {
        self.keep = keep;
        self
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// As [`InferenceEngine::start`], and what goes wrong while the model runs.
    pub fn generate(
        &self,
        prompt: impl Into<Prompt>,
        params: impl Into<Option<GenerateParams>>,
    ) -> BoxFuture<Result<Completion>> {
        self.engine.complete(self.request(prompt, params))
    }

    /// Waits for the whole answer to a chat, put into text by the model's own template.
    ///
    /// # Errors
    /// As [`InferenceEngine::generate`];
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the model has no chat template.
    pub fn chat(
        &self,
        messages: impl Into<Vec<Message>>,
        params: impl Into<Option<GenerateParams>>,
    ) -> BoxFuture<Result<Completion>> {
        self.generate(messages.into(), params)
    }

    /// The answer's text, piece by piece. Dropping the stream cancels.
    ///
    /// # Errors
    /// As [`InferenceEngine::start`]; what goes wrong later comes in the stream.
    pub fn stream(
        &self,
        prompt: impl Into<Prompt>,
        params: impl Into<Option<GenerateParams>>,
    ) -> Result<TextStream> {
        self.engine.stream_text(self.request(prompt, params))
    }

    /// The answer as events: prefill, text with its tokens, and the summary at the end. Dropping
    /// the stream cancels.
    ///
    /// # Errors
    /// As [`InferenceEngine::stream`].
    pub fn events(
        &self,
        prompt: impl Into<Prompt>,
        params: impl Into<Option<GenerateParams>>,
    ) -> Result<GenerationStream> {
        self.start(self.request(prompt, params))
    }

    /// Starts a request as it stands.
    ///
    /// # Errors
    /// At once: [`Error::InvalidParameter`](crate::Error::InvalidParameter),
    /// [`Error::Unsupported`](crate::Error::Unsupported),
    /// [`Error::Unloaded`](crate::Error::Unloaded).
    pub fn start(&self, request: GenerateRequest) -> Result<GenerationStream> {
        EngineExt::stream(self.engine.as_ref(), request)
    }

    /// A request with these settings, or with those of the configuration.
    fn request(
        &self,
        prompt: impl Into<Prompt>,
        params: impl Into<Option<GenerateParams>>,
    ) -> GenerateRequest {
        let params = params.into().unwrap_or_else(|| (*self.params).clone());
        GenerateRequest::new(prompt.into()).with_params(params)
    }

    /// The settings of requests that bring none.
    pub fn params(&self) -> &GenerateParams {
        &self.params
    }

    /// What runs the model.
    pub fn backend(&self) -> &BackendInfo {
        &self.info().model.backend
    }

    /// Whether answers are made up.
    pub fn is_simulated(&self) -> bool {
        self.backend().simulated || self.capabilities().simulated
    }

    /// What is loaded.
    pub fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    /// What the engine honours.
    pub fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    /// Text to tokens, with the special tokens that the model expects around a plain text.
    pub fn tokenize(&self, text: &str) -> Result<Vec<TokenId>> {
        self.engine.tokenize(text)
    }

    /// Tokens to text, special tokens left out.
    pub fn detokenize(&self, tokens: &[TokenId]) -> Result<String> {
        self.engine.detokenize(tokens)
    }

    /// Messages to the text that the model reads.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the model has no chat template.
    pub fn render_chat(&self, messages: &[Message]) -> Result<String> {
        self.engine.render_chat(messages)
    }

    /// The text that the model reads for a request, with its tools and its switch for thinking;
    /// `None` for a prompt of tokens.
    ///
    /// # Errors
    /// As [`InferenceEngine::start`], and what the chat template says.
    pub fn prompt_text(&self, request: GenerateRequest) -> Result<Option<String>> {
        let backend = &self.backend().name;
        let request = request.validate(backend, &self.capabilities())?;
        self.engine.prompt_text(&request)
    }

    /// Starts a request as it stands and waits for the whole answer.
    ///
    /// # Errors
    /// As [`InferenceEngine::generate`].
    pub fn complete(&self, request: GenerateRequest) -> BoxFuture<Result<Completion>> {
        self.engine.complete(request)
    }

    /// Texts to vectors, pooled as the model's own files say; for models that are made for it, as
    /// [`Capabilities::embeddings`] says.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for other models,
    /// [`Error::ContextOverflow`](crate::Error::ContextOverflow) for a text that is too long.
    pub fn embed<T: Into<String>>(
        &self,
        texts: impl IntoIterator<Item = T>,
    ) -> BoxFuture<Result<Embeddings>> {
        self.engine
            .embed(texts.into_iter().map(Into::into).collect())
    }

    /// The memory that the model holds now.
    pub fn memory(&self) -> BoxFuture<Result<MemoryReport>> {
        self.engine.memory()
    }

    /// Writes the cached prompts to a file, which is whole or untouched; it belongs to this model
    /// with its settings.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the backend can't, or what the
    /// system says.
    pub fn save_prompt_cache(
        &self,
        path: impl AsRef<Path>,
    ) -> BoxFuture<Result<PromptCacheReport>> {
        self.engine.save_prompt_cache(path.as_ref())
    }

    /// Adds the prompts of such a file to the cache.
    ///
    /// # Errors
    /// [`Error::InvalidState`](crate::Error::InvalidState) if the file is damaged, or belongs to
    /// another model or to other settings.
    pub fn load_prompt_cache(
        &self,
        path: impl AsRef<Path>,
    ) -> BoxFuture<Result<PromptCacheReport>> {
        self.engine.load_prompt_cache(path.as_ref())
    }

    /// Gives back memory kept for reuse, cached prompts included.
    pub fn trim(&self) -> BoxFuture<Result<()>> {
        self.engine.trim()
    }

    /// Ends running generations with [`Error::Unloaded`](crate::Error::Unloaded) and frees the
    /// model, for all handles. Calling it again does nothing.
    pub fn unload(&self) -> BoxFuture<Result<()>> {
        self.engine.unload()
    }

    /// The engine itself, to pass it on as a trait object.
    pub fn as_engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }
}
