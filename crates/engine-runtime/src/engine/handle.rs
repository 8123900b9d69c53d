//! The handle that applications hold.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::Instant,
};

use engine_core::{
    BoxFuture, Capabilities, EmbeddingSettings, Embeddings, Engine, EngineInfo, Error, Field,
    GenerationStream, MemoryReport, Message, Prompt, PromptCacheReport, Result, TokenId,
    ValidRequest,
};
use futures_channel::oneshot;

use super::{
    chat, command::Command, embeddings::Embedder, events::event_channel, prompts::Arrival,
};
use crate::TextPipeline;

/// An engine whose model lives on its own thread.
pub(super) struct Handle {
    pub(super) info: EngineInfo,
    pub(super) capabilities: Capabilities,
    pub(super) name: Arc<str>,
    pub(super) text: Arc<TextPipeline>,
    pub(super) embedding: Option<EmbeddingSettings>,
    pub(super) arrivals: Sender<Arrival>,
    pub(super) commands: Sender<Command>,
    /// Set when the model is about to go.
    pub(super) unloaded: Arc<AtomicBool>,
}

impl Handle {
    fn unloaded(&self) -> Error {
        Error::Unloaded {
            model: self.info.name.clone(),
        }
    }

    fn check_loaded(&self) -> Result<()> {
        if self.unloaded.load(Ordering::Acquire) {
            return Err(self.unloaded());
        }
        Ok(())
    }

    /// Asks the model's thread; without an answer the model is gone.
    fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> BoxFuture<Result<T>> {
        let (reply, answer) = oneshot::channel();
        let gone = self.unloaded();
        // If the thread is gone, dropping the command drops the reply.
        let _ = self.commands.send(command(reply));
        Box::pin(async move { answer.await.unwrap_or(Err(gone)) })
    }
}

impl Engine for Handle {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn generate(&self, request: ValidRequest) -> Result<GenerationStream> {
        self.check_loaded()?;
        let (events, stream) = event_channel(Arc::clone(&self.name));
        self.arrivals
            .send(Arrival {
                request,
                events,
                arrived: Instant::now(),
            })
            .map_err(|_| self.unloaded())?;
        Ok(Box::pin(stream))
    }

    fn tokenize(&self, text: &str) -> Result<Vec<TokenId>> {
        self.check_loaded()?;
        self.text.encode_prompt(text)
    }

    fn detokenize(&self, tokens: &[TokenId]) -> Result<String> {
        self.check_loaded()?;
        self.text.decode(tokens)
    }

    fn render_chat(&self, messages: &[Message]) -> Result<String> {
        self.check_loaded()?;
        if !self.text.has_chat_template() {
            return Err(Error::Unsupported {
                backend: self.info.model.backend.name.clone(),
                field: Field::Messages,
            });
        }
        self.text.render_chat(messages)
    }

    fn prompt_text(&self, request: &ValidRequest) -> Result<Option<String>> {
        self.check_loaded()?;
        match request.prompt() {
            Prompt::Text(text) => Ok(Some(text.clone())),
            Prompt::Messages(messages) => {
                let chat =
                    chat::render(messages, request.tools(), request.reasoning(), &self.text)?;
                Ok(Some(chat.text))
            }
            _ => Ok(None),
        }
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<Result<Embeddings>> {
        let checked = self.check_loaded().and_then(|()| {
            self.embedding.ok_or_else(|| Error::Unsupported {
                backend: self.info.model.backend.name.clone(),
                field: Field::Embeddings,
            })
        });
        let settings = match checked {
            Ok(settings) => settings,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let embedder = Embedder {
            settings,
            text: Arc::clone(&self.text),
            commands: self.commands.clone(),
            context_length: self.info.model.context_length,
            model: self.info.name.clone(),
        };
        Box::pin(embedder.embed(texts))
    }

    fn memory(&self) -> BoxFuture<Result<MemoryReport>> {
        self.ask(Command::Memory)
    }

    fn trim(&self) -> BoxFuture<Result<()>> {
        self.ask(Command::Trim)
    }

    fn save_prompt_cache(&self, path: &Path) -> BoxFuture<Result<PromptCacheReport>> {
        let path = path.to_owned();
        self.ask(|reply| Command::SavePrompts(path, reply))
    }

    fn load_prompt_cache(&self, path: &Path) -> BoxFuture<Result<PromptCacheReport>> {
        let path = path.to_owned();
        self.ask(|reply| Command::LoadPrompts(path, reply))
    }

    fn unload(&self) -> BoxFuture<Result<()>> {
        self.unloaded.store(true, Ordering::Release);
        let (gone, wait) = oneshot::channel::<()>();
        let _ = self.commands.send(Command::Unload(Some(gone)));
        Box::pin(async move {
            // Nothing is ever sent: the sender is dropped after the model.
            let _ = wait.await;
            Ok(())
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Unload(None));
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("info", &self.info)
            .field("capabilities", &self.capabilities)
            .field("unloaded", &self.unloaded)
            .finish_non_exhaustive()
    }
}
