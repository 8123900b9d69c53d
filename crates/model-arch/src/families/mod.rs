//! The families that are implemented, and what all of them read alike.

mod llama;
mod mistral;
mod qwen2;
mod qwen3;
mod qwen3_moe;

use serde_json::{Map, Value};

use crate::{
    Activation, ArchError, AttentionSpec, DecoderSpec, LayerAttention, LayerMlp, MlpSpec, NormKind,
    NormSpec, QuantizationPlan, RopeSpec, config::Config, error::quote,
};

type Reader = fn(&Config<'_>) -> Result<DecoderSpec, ArchError>;

/// `model_type` and who reads it. A new family is a file and a line.
const FAMILIES: [(&str, Reader); 5] = [
    ("llama", llama::read),
    ("mistral", mistral::read),
    ("qwen2", qwen2::read),
    ("qwen3", qwen3::read),
    ("qwen3_moe", qwen3_moe::read),
];

// Bounds that every published model keeps by a wide margin, and that keep the sums and products
// of a hostile configuration small.
const MAX_HIDDEN: u32 = 1 << 17;
const MAX_LAYERS: u32 = 1024;
const MAX_INTERMEDIATE: u32 = 1 << 20;
const MAX_EXPERTS: u32 = 4096;
const MAX_HEADS: u32 = 4096;
const MAX_HEAD_DIM: u32 = 4096;
const MAX_VOCAB: u32 = 1 << 24;
const MAX_CONTEXT: u32 = 1 << 28;

/// The values of `model_type` that [`DecoderSpec::from_config`] knows.
pub fn known_model_types() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}

pub(crate) fn read(config: &Map<String, Value>) -> Result<DecoderSpec, ArchError> {
    let Some(model_type) = Config::new(config, "all").optional_text("model_type")? else {
        return Err(ArchError::MissingField {
            field: "model_type".to_owned(),
            model_type: "all".to_owned(),
        });
    };
    let Some((_, reader)) = FAMILIES.iter().find(|(name, _)| *name == model_type) else {
        return Err(ArchError::UnknownModelType {
            model_type: quote(&model_type.into()).trim_matches('"').to_owned(),
            known: known_model_types().collect::<Vec<_>>().join(", "),
        });
    };
    reader(&Config::new(config, model_type))
}

/// What differs between families, besides the sizes.
struct Traits {
    kv_heads: u32,
    head_dim: u32,
    biases: Biases,
    qk_norm: bool,
    context_length: u32,
    rope: RopeSpec,
    tie_embeddings: bool,
    layer_attention: Option<Vec<LayerAttention>>,
    ignored_sliding_window: Option<u32>,
}

/// Which projections add a bias.
#[derive(Clone, Copy, Default)]
struct Biases {
    qkv: bool,
    output: bool,
    mlp: bool,
}

fn hidden_size(config: &Config<'_>) -> Result<u32, ArchError> {
    config.count("hidden_size", 1..=MAX_HIDDEN)
}

fn heads(config: &Config<'_>) -> Result<u32, ArchError> {
    config.count("num_attention_heads", 1..=MAX_HEADS)
}

fn layers(config: &Config<'_>) -> Result<u32, ArchError> {
    config.count("num_hidden_layers", 1..=MAX_LAYERS)
}

fn kv_heads(config: &Config<'_>) -> Result<Option<u32>, ArchError> {
    config.optional_count("num_key_value_heads", 1..=MAX_HEADS)
}

fn context_length(config: &Config<'_>) -> Result<Option<u32>, ArchError> {
    config.optional_count("max_position_embeddings", 1..=MAX_CONTEXT)
}

/// `head_dim` as it is written.
fn own_head_dim(config: &Config<'_>) -> Result<Option<u32>, ArchError> {
    config.optional_count("head_dim", 1..=MAX_HEAD_DIM)
}

/// The hidden size, shared among the heads.
fn shared_head_dim(config: &Config<'_>) -> Result<u32, ArchError> {
    let (hidden, heads) = (hidden_size(config)?, heads(config)?);
    if hidden.is_multiple_of(heads) {
        return Ok(hidden / heads);
    }
    Err(config.invalid(
        "num_attention_heads",
        &heads.into(),
        format!("a divisor of hidden_size, which is {hidden}"),
    ))
}

/// A window that is smaller than the context, so that it would make a difference.
fn window(config: &Config<'_>, context_length: u32) -> Result<Option<u32>, ArchError> {
    Ok(config
        .optional_count("sliding_window", 1..=MAX_CONTEXT)?
        .filter(|window| *window < context_length))
}

/// A window in the layers from `first` on, and none before; `None` without a window.
fn window_from(
    config: &Config<'_>,
    window: Option<u32>,
    first: u32,
) -> Result<Option<Vec<LayerAttention>>, ArchError> {
    let Some(window) = window else {
        return Ok(None);
    };
    let layers = (0..layers(config)?).map(|layer| {
        if layer < first {
            LayerAttention::Full
        } else {
            LayerAttention::Sliding { window }
        }
    });
    Ok(Some(layers.collect()))
}

/// Reads what all families have, and joins it with the rest.
fn dense(config: &Config<'_>, traits: Traits) -> Result<DecoderSpec, ArchError> {
    let heads = heads(config)?;
    let layers = layers(config)?;
    if !heads.is_multiple_of(traits.kv_heads) {
        return Err(config.invalid(
            "num_key_value_heads",
            &traits.kv_heads.into(),
            format!("a divisor of num_attention_heads, which is {heads}"),
        ));
    }
    if !traits.head_dim.is_multiple_of(2) || traits.head_dim > MAX_HEAD_DIM {
        return Err(config.invalid(
            "head_dim",
            &traits.head_dim.into(),
            format!("an even number up to {MAX_HEAD_DIM}, since rotary embeddings turn pairs"),
        ));
    }
    if let Some(activation) = config.get("hidden_act")
        && !matches!(activation.as_str(), Some("silu" | "swish"))
    {
        return Err(config.unsupported("hidden_act", activation, "\"silu\""));
    }
    let mlp = MlpSpec {
        intermediate_size: config.count("intermediate_size", 1..=MAX_INTERMEDIATE)?,
        activation: Activation::Silu,
        bias: traits.biases.mlp,
    };
    Ok(DecoderSpec {
        model_type: config.model_type().to_owned(),
        hidden_size: hidden_size(config)?,
        layers,
        vocab_size: config.count("vocab_size", 1..=MAX_VOCAB)?,
        context_length: traits.context_length,
        norm: NormSpec {
            kind: NormKind::RmsNorm,
            eps: config.real("rms_norm_eps", 1e-30..=1.0)? as f32,
        },
        attention: AttentionSpec {
            heads,
            kv_heads: traits.kv_heads,
            head_dim: traits.head_dim,
            scale: f64::from(traits.head_dim).sqrt().recip() as f32,
            qkv_bias: traits.biases.qkv,
            output_bias: traits.biases.output,
            qk_norm: traits.qk_norm,
        },
        rope: traits.rope,
        layer_mlp: vec![LayerMlp::Dense(mlp); layers as usize],
        tie_embeddings: traits.tie_embeddings,
        quantization: QuantizationPlan::read(config)?,
        layer_attention: traits
            .layer_attention
            .unwrap_or_else(|| vec![LayerAttention::Full; layers as usize]),
        ignored_sliding_window: traits.ignored_sliding_window,
        bos_token_id: config.token_ids("bos_token_id")?.first().copied(),
        eos_token_ids: config.token_ids("eos_token_id")?,
    })
}
