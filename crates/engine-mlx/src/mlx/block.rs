//! One layer of the decoder.

use mlx_rs::Array;

use super::{
    attention::{Attention, Part},
    exception::MlxResult,
    kv_cache::KvCache,
    mlp::Mlp,
    norm::RmsNorm,
};

/// Attention and feed-forward layer, each behind a norm and beside a shortcut.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) input_norm: RmsNorm,
    pub(super) attention: Attention,
    pub(super) post_attention_norm: RmsNorm,
    pub(super) mlp: Mlp,
}

impl Block {
    /// `[rows, hidden_size]` to the same, and the parts' caches with their new positions.
    pub(super) fn forward<C: KvCache>(
        &self,
        x: &Array,
        parts: &[Part<'_, C>],
    ) -> MlxResult<(Array, Vec<C>)> {
        let (attended, caches) = self
            .attention
            .forward(&self.input_norm.forward(x)?, parts)?;
        let x = x.add(attended)?;
        let out = self.mlp.forward(&self.post_attention_norm.forward(&x)?)?;
        Ok((x.add(out)?, caches))
    }
}
