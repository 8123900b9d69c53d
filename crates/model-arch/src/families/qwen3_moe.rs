//! Qwen 3 with experts: its attention, and in most layers a mixture instead of one feed-forward
//! part.

use super::{MAX_EXPERTS, MAX_INTERMEDIATE, MAX_LAYERS, qwen3};
use crate::{ArchError, DecoderSpec, ExpertsSpec, LayerMlp, config::Config};

pub(super) fn read(config: &Config<'_>) -> Result<DecoderSpec, ArchError> {
    let mut spec = qwen3::read(config)?;
    let count = config.count("num_experts", 0..=MAX_EXPERTS)?;
    if count == 0 {
        return Ok(spec);
    }
    let per_token = config.count("num_experts_per_tok", 1..=count)?;
    let intermediate_size = config.count("moe_intermediate_size", 1..=MAX_INTERMEDIATE)?;
    let normalized = config
        .optional_flag("norm_topk_prob")?
        .ok_or_else(|| config.missing("norm_topk_prob"))?;
    let step = config.count("decoder_sparse_step", 1..=MAX_LAYERS)?;
    let dense_layers = config.layer_numbers("mlp_only_layers")?;
    for (layer, mlp) in (0u32..).zip(&mut spec.layer_mlp) {
        let LayerMlp::Dense(dense) = *mlp else {
            continue;
        };
        if (layer + 1).is_multiple_of(step) && !dense_layers.contains(&layer) {
            *mlp = LayerMlp::Experts(ExpertsSpec {
                count,
                per_token,
                normalized,
                intermediate_size,
                activation: dense.activation,
            });
        }
    }
    Ok(spec)
}
