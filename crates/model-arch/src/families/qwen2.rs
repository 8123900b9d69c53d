//! Qwen 2 and 2.5: Llama with biases on queries, keys and values.

use super::{
    Biases, MAX_LAYERS, Traits, context_length, dense, kv_heads, own_head_dim, shared_head_dim,
    window, window_from,
};
use crate::{ArchError, DecoderSpec, LayerAttention, RopeSpec, config::Config};

const DEFAULT_CONTEXT: u32 = 32_768;
const DEFAULT_THETA: f64 = 1_000_000.0;
const DEFAULT_WINDOW_LAYERS: u32 = 28;

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
            layer_attention: layers_with_window(config, context_length)?,
            ignored_sliding_window: None,
        },
    )
}

/// The window that `use_sliding_window` asks for, in the layers from `max_window_layers` on, as
/// transformers' `Qwen2Config` has it; mlx-lm applies none.
pub(super) fn layers_with_window(
    config: &Config<'_>,
    context_length: u32,
) -> Result<Option<Vec<LayerAttention>>, ArchError> {
    if !config.optional_flag("use_sliding_window")?.unwrap_or(false) {
        return Ok(None);
    }
    let first = config
        .optional_count("max_window_layers", 0..=MAX_LAYERS)?
        .unwrap_or(DEFAULT_WINDOW_LAYERS);
    window_from(config, window(config, context_length)?, first)
}
