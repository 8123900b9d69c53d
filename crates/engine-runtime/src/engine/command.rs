//! What the model's thread can be asked.

use std::path::PathBuf;

use engine_core::{MemoryReport, Pooling, PromptCacheReport, Result, TokenId};
use futures_channel::oneshot;

use super::generation::Generation;

/// Everything that reaches the model's thread.
pub(super) enum Command {
    /// Run a generation as soon as there is room.
    Generate(Box<Generation>),
    /// Embed some texts.
    Embed(EmbedCommand),
    /// Report memory.
    Memory(oneshot::Sender<Result<MemoryReport>>),
    /// Give back memory kept for reuse.
    Trim(oneshot::Sender<Result<()>>),
    /// Write the cached prompts to a file.
    SavePrompts(PathBuf, oneshot::Sender<Result<PromptCacheReport>>),
    /// Add the prompts of a file to the cache.
    LoadPrompts(PathBuf, oneshot::Sender<Result<PromptCacheReport>>),
    /// End. The sender is dropped once the model is.
    Unload(Option<oneshot::Sender<()>>),
}

/// Texts to embed, and who waits for their vectors.
pub(super) struct EmbedCommand {
    pub(super) texts: Vec<Vec<TokenId>>,
    pub(super) pooling: Pooling,
    pub(super) reply: oneshot::Sender<Result<Vec<Vec<f32>>>>,
}
