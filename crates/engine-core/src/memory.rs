//! What memory an engine holds.

use serde::{Deserialize, Serialize};

/// Memory held by one loaded model, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Weights.
    pub weight_bytes: u64,
    /// KV caches of all open sequences and of cached prompts, capacity included.
    pub kv_bytes: u64,
    /// The part of `kv_bytes` that cached prompts hold;
    /// [`Engine::trim`](crate::Engine::trim) gives it back.
    pub prompt_cache_bytes: u64,
    /// Memory that the backend's allocator keeps for reuse; [`Engine::trim`](crate::Engine::trim)
    /// gives it back.
    pub pooled_bytes: u64,
    /// All that the allocator has handed out in this process, other models included; `None` where
    /// it does not say.
    pub active_bytes: Option<u64>,
    /// The largest that `active_bytes` has been; `None` where the allocator does not say.
    pub peak_bytes: Option<u64>,
    /// Open sequences, cached prompts not counted.
    pub sequences: u32,
    /// Prompts with their answers that are cached.
    pub cached_prompts: u32,
}

impl MemoryReport {
    /// Weights and KV caches together.
    pub const fn held_bytes(&self) -> u64 {
        self.weight_bytes + self.kv_bytes
    }
}
