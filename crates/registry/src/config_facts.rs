//! What a `config.json` says of a model's size.

use engine_core::{KvCacheShape, MemoryEstimate, Quantization, SlidingLayers};
use model_arch::{ArchError, DecoderSpec, LayerAttention};
use serde_json::{Map, Value};

use crate::Runs;

/// Bytes of a number as models are published: f16 or bf16.
pub(crate) const PUBLISHED: u32 = 2;

/// What a `config.json` says of a model's size, whether or not its architecture is implemented.
#[derive(Clone, Debug)]
pub struct ConfigFacts {
    /// `model_type`.
    pub model_type: Option<String>,
    /// Tokens for which the positions were trained.
    pub context: Option<u32>,
    /// Weights, exactly; only where the architecture is implemented.
    pub parameters: Option<u64>,
    /// How weights are quantized, in MLX's affine form.
    pub quantization: Option<Quantization>,
    /// The KV cache's shape, with numbers of 2 bytes.
    pub kv_cache: Option<KvCacheShape>,
    spec: Result<DecoderSpec, ArchError>,
}

impl ConfigFacts {
    /// Reads the members of `config.json`. What can't be read counts as absent.
    pub fn read(config: &Map<String, Value>) -> Self {
        let spec = DecoderSpec::from_config(config);
        // Models that see have the language model's settings one level deeper.
        let text = config.get("text_config").and_then(Value::as_object);
        let text = text.unwrap_or(config);
        let number = |name: &str| text.get(name).and_then(Value::as_u64).and_then(small);
        let layers = number("num_hidden_layers");
        let heads = number("num_attention_heads");
        let shared = || Some(number("hidden_size")? / heads?);
        let kv_cache = match &spec {
            Ok(spec) => Some(KvCacheShape {
                layers: spec.layers,
                kv_heads: spec.attention.kv_heads,
                head_dim: spec.attention.head_dim,
                element_bytes: PUBLISHED,
                sliding: sliding(spec),
            }),
            Err(_) => layers
                .zip(number("num_key_value_heads").or(heads))
                .zip(number("head_dim").or_else(shared))
                .map(|((layers, kv_heads), head_dim)| KvCacheShape {
                    layers,
                    kv_heads,
                    head_dim,
                    element_bytes: PUBLISHED,
                    sliding: None,
                }),
        };
        Self {
            model_type: config
                .get("model_type")
                .and_then(Value::as_str)
                .map(str::to_owned),
            context: match &spec {
                Ok(spec) => Some(spec.context_length),
                Err(_) => number("max_position_embeddings"),
            },
            parameters: spec.as_ref().ok().map(DecoderSpec::parameters),
            quantization: quantization(config),
            kv_cache,
            spec,
        }
    }

    /// Whether this project can run it.
    pub fn runs(&self) -> Runs {
        Runs::of(&self.spec)
    }

    /// The architecture, if it is implemented.
    pub fn spec(&self) -> Option<&DecoderSpec> {
        self.spec.as_ref().ok()
    }

    /// The memory needed with one sequence of `context` tokens, where activations and the KV cache
    /// have numbers of `element_bytes` bytes: 2 on a GPU, 4 on MLX's CPU device.
    ///
    /// `weight_file_bytes` is the size of all `*.safetensors` files together. Weights take as much
    /// in memory, and more where numbers of 2 bytes become wider. Without it the size is derived
    /// from the architecture alone. `None` if too little is known.
    pub fn memory_estimate(
        &self,
        weight_file_bytes: Option<u64>,
        context: u32,
        element_bytes: u32,
    ) -> Option<MemoryEstimate> {
        let weights = |element_bytes| Some(self.spec()?.weight_bytes(element_bytes));
        let weight_bytes = match weight_file_bytes {
            None => weights(element_bytes)?,
            Some(files) => {
                let wider = weights(element_bytes).unwrap_or_default();
                let published = weights(PUBLISHED).unwrap_or_default();
                files.saturating_add(wider.saturating_sub(published))
            }
        };
        let kv_bytes = match self.spec() {
            Some(spec) => spec.kv_bytes(context, element_bytes),
            None => KvCacheShape {
                element_bytes,
                ..self.kv_cache?
            }
            .bytes(context),
        };
        Some(MemoryEstimate::new(weight_bytes, kv_bytes))
    }
}

/// The layers with a window; where windows differ, as if all had the largest.
fn sliding(spec: &DecoderSpec) -> Option<SlidingLayers> {
    let windows = spec
        .layer_attention
        .iter()
        .filter_map(|attention| match attention {
            LayerAttention::Sliding { window } => Some(*window),
            _ => None,
        });
    Some(SlidingLayers {
        layers: windows.clone().count() as u32,
        window: windows.max()?,
    })
}

/// Sizes that [`engine_core::ModelConfiguration::validate`] accepts, contexts included.
fn small(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// MLX's affine form; other methods sign with their name or mode.
fn quantization(config: &Map<String, Value>) -> Option<Quantization> {
    let entry = |name| config.get(name).and_then(Value::as_object);
    let entry = entry("quantization").or_else(|| entry("quantization_config"))?;
    let named = |name: &str| entry.get(name).and_then(Value::as_str);
    if named("quant_method").is_some() || named("mode").is_some_and(|mode| mode != "affine") {
        return None;
    }
    let number = |name| entry.get(name).and_then(Value::as_u64).and_then(small);
    Some(Quantization {
        bits: number("bits")?,
        group_size: number("group_size")?,
    })
}
