//! From a model to an engine: the thread it lives on, and the handle that speaks to it.

mod answer;
mod budget;
mod chat;
mod command;
mod embeddings;
mod events;
mod forced_call;
mod generation;
mod guarded;
mod handle;
mod loops;
mod prompts;
mod scheduler;
mod spawn;
mod steps;

use std::path::PathBuf;

use engine_core::EmbeddingSettings;

use crate::TextPipeline;

pub(crate) use guarded::Guarded;
pub use spawn::spawn_engine;

/// What a backend has made when a model is loaded.
#[derive(Debug)]
pub struct Loaded<M> {
    /// The model.
    pub model: M,
    /// Its texts.
    pub text: TextPipeline,
    /// How to run it.
    pub settings: EngineSettings,
}

/// How an engine runs its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// The name that reports and errors use.
    pub name: String,
    /// Where the model was loaded from; `None` if from no file.
    pub path: Option<PathBuf>,
    /// Prompt tokens read in one piece; 0 counts as 1.
    pub prefill_chunk: usize,
    /// Generations at the same time; further ones wait. 0 counts as 1.
    pub max_concurrent: u32,
    /// The budget of the prompt cache, in bytes; 0 is none, and `None` the default:
    /// [`LoadOptions::prompt_cache_bytes`](engine_core::LoadOptions::prompt_cache_bytes).
    pub prompt_cache_bytes: Option<u64>,
    /// How the model embeds texts; `None` if it is not made for that.
    pub embedding: Option<EmbeddingSettings>,
}
