//! Qwen 3, dense: normalised queries and keys, no biases.

use super::{
    Biases, Traits, context_length, dense, kv_heads, own_head_dim, qwen2::layers_with_window,
};
use crate::{ArchError, DecoderSpec, RopeSpec, config::Config};

pub(super) fn read(config: &Config<'_>) -> Result<DecoderSpec, ArchError> {
    if config.optional_flag("attention_bias")?.unwrap_or(false) {
        return Err(config.unsupported("attention_bias", &true.into(), "false"));
    }
    let head_dim = own_head_dim(config)?.ok_or_else(|| config.missing("head_dim"))?;
    let context_length =
        context_length(config)?.ok_or_else(|| config.missing("max_position_embeddings"))?;
    dense(
        config,
        Traits {
            kv_heads: kv_heads(config)?.ok_or_else(|| config.missing("num_key_value_heads"))?,
            head_dim,
            biases: Biases::default(),
            qk_norm: true,
            context_length,
            rope: RopeSpec::read(config, None, head_dim, false)?,
            tie_embeddings: config
                .optional_flag("tie_word_embeddings")?
                .ok_or_else(|| config.missing("tie_word_embeddings"))?,
            layer_attention: layers_with_window(config, context_length)?,
            ignored_sliding_window: None,
        },
    )
}
