//! Qwen 2 and 2.5: Llama with biases on queries, keys and values.

use super::{
    Biases, Traits, context_length, dense, kv_heads, own_head_dim, shared_head_dim, window,
};
use crate::{ArchError, DecoderSpec, RopeSpec, config::Config};

const DEFAULT_CONTEXT: u32 = 32_768;
const DEFAULT_THETA: f64 = 1_000_000.0;

pub(super) fn read(config: &Config<'_>) -> Result<DecoderSpec, ArchError> {
    let head_dim = shared_head_dim(config)?;
    if let Some(other) = own_head_dim(config)?.filter(|other| *other != head_dim) {
        return Err(config.unsupported(
            "head_dim",
            &other.into(),
            "hidden_size / num_attention_heads",
        ));
    }
    let traditional = config.optional_flag("rope_traditional")?.unwrap_or(false);
    let context_length = context_length(config)?.unwrap_or(DEFAULT_CONTEXT);
    dense(
        config,
        Traits {
            kv_heads: kv_heads(config)?.ok_or_else(|| config.missing("num_key_value_heads"))?,
            head_dim,
            biases: Biases {
                qkv: true,
                ..Biases::default()
            },
            qk_norm: false,
            context_length,
            rope: RopeSpec::read(config, Some(DEFAULT_THETA), head_dim, traditional)?,
            tie_embeddings: config.optional_flag("tie_word_embeddings")?.unwrap_or(true),
            layer_attention: None,
            ignored_sliding_window: ignored_window(config, context_length)?,
        },
    )
}

/// The window that `use_sliding_window` asks for; mlx-lm knows none in Qwen's models.
pub(super) fn ignored_window(
    config: &Config<'_>,
    context_length: u32,
) -> Result<Option<u32>, ArchError> {
    if config.optional_flag("use_sliding_window")?.unwrap_or(false) {
        window(config, context_length)
    } else {
        Ok(None)
    }
}
