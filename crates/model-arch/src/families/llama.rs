//! Llama, and the many models that call themselves so.

use serde_json::Value;

use super::{
    Biases, Traits, context_length, dense, kv_heads, layers, own_head_dim, shared_head_dim, window,
};
use crate::{ArchError, DecoderSpec, LayerAttention, RopeSpec, config::Config};

/// transformers' `LlamaConfig`; mlx-lm sets no limit.
const DEFAULT_CONTEXT: u32 = 2048;
const DEFAULT_THETA: f64 = 10_000.0;

pub(super) fn read(config: &Config<'_>) -> Result<DecoderSpec, ArchError> {
    read_with_context(config, DEFAULT_CONTEXT)
}

/// The same rules with another context for configurations that name none.
pub(super) fn read_with_context(
    config: &Config<'_>,
    default_context: u32,
) -> Result<DecoderSpec, ArchError> {
    // 0 stands for "not given", as in Python's `or`.
    let written = config
        .get("head_dim")
        .filter(|value| value.as_u64() != Some(0));
    let head_dim = match written {
        Some(_) => own_head_dim(config)?,
        None => None,
    };
    let head_dim = match head_dim {
        Some(head_dim) => head_dim,
        None => shared_head_dim(config)?,
    };
    let kv_heads = match kv_heads(config)? {
        Some(kv_heads) => kv_heads,
        None => super::heads(config)?,
    };
    let attention_bias = config.optional_flag("attention_bias")?.unwrap_or(false);
    let traditional = config.optional_flag("rope_traditional")?.unwrap_or(false);
    let context_length = context_length(config)?.unwrap_or(default_context);
    let layer_attention = layer_attention(config)?;
    let ignored_sliding_window = match layer_attention {
        Some(_) => None,
        None => window(config, context_length)?,
    };
    dense(
        config,
        Traits {
            kv_heads,
            head_dim,
            biases: Biases {
                qkv: attention_bias,
                output: attention_bias,
                mlp: config.optional_flag("mlp_bias")?.unwrap_or(false),
            },
            qk_norm: false,
            context_length,
            rope: RopeSpec::read(config, Some(DEFAULT_THETA), head_dim, traditional)?,
            tie_embeddings: config.optional_flag("tie_word_embeddings")?.unwrap_or(true),
            layer_attention,
            ignored_sliding_window,
        },
    )
}

/// `layer_types`, without which a `sliding_window` of Llama means nothing in mlx-lm and in
/// transformers.
fn layer_attention(config: &Config<'_>) -> Result<Option<Vec<LayerAttention>>, ArchError> {
    let Some(value) = config.get("layer_types") else {
        return Ok(None);
    };
    let layers = layers(config)?;
    let types = value
        .as_array()
        .filter(|types| types.len() == layers as usize)
        .ok_or_else(|| {
            config.invalid(
                "layer_types",
                value,
                format!("a list of {layers}, one for each layer"),
            )
        })?;
    types
        .iter()
        .map(|kind| match kind.as_str() {
            Some("full_attention") => Ok(LayerAttention::Full),
            Some("sliding_attention") => Ok(LayerAttention::Sliding {
                window: config.count("sliding_window", 1..=super::MAX_CONTEXT)?,
            }),
            _ => Err(unknown_layer_type(config, kind)),
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

fn unknown_layer_type(config: &Config<'_>, kind: &Value) -> ArchError {
    config.unsupported(
        "layer_types",
        kind,
        "\"full_attention\" or \"sliding_attention\"",
    )
}
