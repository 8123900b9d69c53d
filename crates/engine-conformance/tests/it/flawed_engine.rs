//! An engine that is sound but for one flaw.

use std::{path::Path, sync::Arc};

use engine_conformance::{EngineSuite, Report};
use engine_core::{
    Backend, BoxFuture, Capabilities, Engine, EngineInfo, GenerateParams, GenerateRequest,
    GenerationStream, LoadRequest, MemoryReport, Message, Progress, PromptCacheReport, Result,
    TokenId, ValidRequest,
};
use engine_mock::{MockBackend, MockBuilder};

/// What is wrong: the methods that are not overridden are sound.
pub(crate) trait Flaw: Send + Sync + 'static {
    fn info<'a>(&'a self, inner: &'a dyn Engine) -> &'a EngineInfo {
        inner.info()
    }

    fn capabilities(&self, inner: &dyn Engine) -> Capabilities {
        inner.capabilities()
    }

    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner.generate(request)
    }

    fn tokenize(&self, inner: &dyn Engine, text: &str) -> Result<Vec<TokenId>> {
        inner.tokenize(text)
    }

    fn detokenize(&self, inner: &dyn Engine, tokens: &[TokenId]) -> Result<String> {
        inner.detokenize(tokens)
    }

    fn render_chat(&self, inner: &dyn Engine, messages: &[Message]) -> Result<String> {
        inner.render_chat(messages)
    }

    fn prompt_text(&self, inner: &dyn Engine, request: &ValidRequest) -> Result<Option<String>> {
        inner.prompt_text(request)
    }

    fn memory(&self, inner: &dyn Engine) -> BoxFuture<Result<MemoryReport>> {
        inner.memory()
    }

    fn trim(&self, inner: &dyn Engine) -> BoxFuture<Result<()>> {
        inner.trim()
    }

    fn save_prompt_cache(
        &self,
        inner: &dyn Engine,
        path: &Path,
    ) -> BoxFuture<Result<PromptCacheReport>> {
        inner.save_prompt_cache(path)
    }

    fn load_prompt_cache(
        &self,
        inner: &dyn Engine,
        path: &Path,
    ) -> BoxFuture<Result<PromptCacheReport>> {
        inner.load_prompt_cache(path)
    }

    fn unload(&self, inner: &dyn Engine) -> BoxFuture<Result<()>> {
        inner.unload()
    }
}

pub(crate) struct Flawed<F> {
    inner: Arc<dyn Engine>,
    flaw: F,
}

impl<F> std::fmt::Debug for Flawed<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flawed").finish_non_exhaustive()
    }
}

impl<F: Flaw> Engine for Flawed<F> {
    fn info(&self) -> &EngineInfo {
        self.flaw.info(self.inner.as_ref())
    }

    fn capabilities(&self) -> Capabilities {
        self.flaw.capabilities(self.inner.as_ref())
    }

    fn generate(&self, request: ValidRequest) -> Result<GenerationStream> {
        self.flaw.generate(self.inner.as_ref(), request)
    }

    fn tokenize(&self, text: &str) -> Result<Vec<TokenId>> {
        self.flaw.tokenize(self.inner.as_ref(), text)
    }

    fn detokenize(&self, tokens: &[TokenId]) -> Result<String> {
        self.flaw.detokenize(self.inner.as_ref(), tokens)
    }

    fn render_chat(&self, messages: &[Message]) -> Result<String> {
        self.flaw.render_chat(self.inner.as_ref(), messages)
    }

    fn prompt_text(&self, request: &ValidRequest) -> Result<Option<String>> {
        self.flaw.prompt_text(self.inner.as_ref(), request)
    }

    fn memory(&self) -> BoxFuture<Result<MemoryReport>> {
        self.flaw.memory(self.inner.as_ref())
    }

    fn trim(&self) -> BoxFuture<Result<()>> {
        self.flaw.trim(self.inner.as_ref())
    }

    fn save_prompt_cache(&self, path: &Path) -> BoxFuture<Result<PromptCacheReport>> {
        self.flaw.save_prompt_cache(self.inner.as_ref(), path)
    }

    fn load_prompt_cache(&self, path: &Path) -> BoxFuture<Result<PromptCacheReport>> {
        self.flaw.load_prompt_cache(self.inner.as_ref(), path)
    }

    fn unload(&self) -> BoxFuture<Result<()>> {
        self.flaw.unload(self.inner.as_ref())
    }
}

/// A mock with a context that takes long to fill, so that an endless generation stays one.
pub(crate) fn sound_mock() -> MockBuilder {
    MockBackend::builder().seeded(3).context_length(1 << 17)
}

/// A suite over mocks that each have a new flaw.
pub(crate) fn suite<F: Flaw>(
    mock: MockBuilder,
    flaw: impl Fn() -> F + Send + Sync + 'static,
) -> EngineSuite {
    let backend = mock.build().expect("sound settings");
    let flaw = Arc::new(flaw);
    EngineSuite::new(move || {
        let inner = backend.load(LoadRequest::new("models/mock"), Progress::silent());
        let flaw = Arc::clone(&flaw);
        Box::pin(async move {
            let inner = inner.await?;
            Ok(Arc::new(Flawed {
                inner,
                flaw: flaw(),
            }) as Arc<dyn Engine>)
        })
    })
}

/// Fails unless exactly these cases fail on an engine with this flaw.
#[track_caller]
pub(crate) fn assert_fails<F: Flaw>(
    flaw: impl Fn() -> F + Send + Sync + 'static,
    expected: &[&str],
) {
    assert_failed(&suite(sound_mock(), flaw).run(), expected);
}

#[track_caller]
pub(crate) fn assert_failed(report: &Report, expected: &[&str]) {
    assert_eq!(report.failed(), expected, "\n{report}");
}

/// The same request with other settings; what was ignored is forgotten.
pub(crate) fn with_params(
    request: ValidRequest,
    engine: &dyn Engine,
    change: impl FnOnce(&mut GenerateParams),
) -> ValidRequest {
    let (tools, reasoning) = (request.tools().clone(), request.reasoning());
    let (prompt, mut params, _) = request.into_parts();
    change(&mut params);
    GenerateRequest::new(prompt)
        .with_params(params)
        .with_tools(tools)
        .with_reasoning(reasoning)
        .validate("mock", &engine.capabilities())
        .expect("settings in their ranges")
}
