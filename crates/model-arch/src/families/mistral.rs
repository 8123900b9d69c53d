//! Mistral 7B and its kin: Llama with a window.
//!
//! The first of them were trained with a window of 4096 tokens. mlx-lm does not apply it; it is
//! applied here as in transformers, in every layer, since without it the model leaves what it was
//! trained for. Within the window the two are the same.

use super::{llama, window, window_from};
use crate::{ArchError, DecoderSpec, config::Config};

/// transformers' `MistralConfig`.
const DEFAULT_CONTEXT: u32 = 131_072;

pub(super) fn read(config: &Config<'_>) -> Result<DecoderSpec, ArchError> {
    let mut spec = llama::read_with_context(config, DEFAULT_CONTEXT)?;
    if config.get("layer_types").is_none() {
        let window = window(config, spec.context_length)?;
        if let Some(layers) = window_from(config, window, 0)? {
            spec.layer_attention = layers;
        }
        spec.ignored_sliding_window = None;
    }
    Ok(spec)
}
