//! Mistral 7B and its kin: Llama under another name, also in mlx-lm.
//!
//! The first of them were trained with a window of 4096 tokens, which mlx-lm does not apply.

use super::llama;
use crate::{ArchError, DecoderSpec, config::Config};

/// transformers' `MistralConfig`.
const DEFAULT_CONTEXT: u32 = 131_072;

pub(super) fn read(config: &Config<'_>) -> Result<DecoderSpec, ArchError> {
    llama::read_with_context(config, DEFAULT_CONTEXT)
}
