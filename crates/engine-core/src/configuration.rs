//! A model as an application names and plans for it.

use std::{borrow::Cow, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Field, GenerateParams, LoadOptions, LoadRequest, Result};

/// Affine quantization: `w = scale * q + bias`, one scale and bias for each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Bits of a weight: 2, 3, 4, 5, 6 or 8.
    pub bits: u32,
    /// Weights that share a scale and a bias.
    pub group_size: u32,
}

/// What the KV cache's size depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvCacheShape {
    /// Layers.
    pub layers: u32,
    /// Key and value heads in a layer.
    pub kv_heads: u32,
    /// Numbers in a head's key, and in its value.
    pub head_dim: u32,
    /// Bytes of a number: 4 for f32, 2 for f16 and bf16.
    pub element_bytes: u32,
    /// The layers, among all, that keep a sliding window; `None` if all keep everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding: Option<SlidingLayers>,
}

/// Layers whose attention sees a sliding window of the last tokens, and keeps no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlidingLayers {
    /// How many, at most as many as there are layers.
    pub layers: u32,
    /// Tokens of the window, at least 1.
    pub window: u32,
}

impl KvCacheShape {
    /// Bytes that one token takes: keys and values of all layers.
    pub const fn bytes_per_token(&self) -> u64 {
        self.bytes_per_token_and_layer()
            .saturating_mul(self.layers as u64)
    }

    /// Bytes of one sequence of `context` tokens, of which layers with a window keep as many as it
    /// has. Backends keep a few more, in pages or buffers that are not full.
    pub const fn bytes(&self, context: u32) -> u64 {
        let all = self.layers as u64 * context as u64;
        let kept = match self.sliding {
            Some(SlidingLayers { layers, window }) if window < context => {
                all.saturating_sub(layers as u64 * (context - window) as u64)
            }
            _ => all,
        };
        kept.saturating_mul(self.bytes_per_token_and_layer())
    }

    const fn bytes_per_token_and_layer(&self) -> u64 {
        (2 * self.kv_heads as u64 * self.element_bytes as u64).saturating_mul(self.head_dim as u64)
    }
}

/// The memory that a model will need, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryEstimate {
    /// Weights.
    pub weight_bytes: u64,
    /// One sequence's KV cache at the given context.
    pub kv_bytes: u64,
    /// Activations, tokenizer and allocator.
    pub overhead_bytes: u64,
}

impl MemoryEstimate {
    /// Weights and cache, with an overhead of 5 % of the weights and at least 64 MiB.
    pub const fn new(weight_bytes: u64, kv_bytes: u64) -> Self {
        const LEAST: u64 = 64 << 20;
        let share = weight_bytes / 20;
        Self {
            weight_bytes,
            kv_bytes,
            overhead_bytes: if share > LEAST { share } else { LEAST },
        }
    }

    /// All together.
    pub const fn total_bytes(&self) -> u64 {
        self.weight_bytes
            .saturating_add(self.kv_bytes)
            .saturating_add(self.overhead_bytes)
    }
}

/// A model on this machine: where it lies, what is known of it, how to load and run it.
///
/// Only the path is needed. What else is given is used for planning before the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfiguration {
    /// The name that reports and errors use.
    pub name: String,
    /// A folder with `config.json` and `*.safetensors`, or a GGUF file.
    pub path: PathBuf,
    /// Number of weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// How they are quantized; `None` if they are not, or if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// The KV cache's shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_cache: Option<KvCacheShape>,
    /// How to load it.
    #[serde(default)]
    pub load: LoadOptions,
    /// How to generate when a request does not say.
    #[serde(default)]
    pub generate: GenerateParams,
}

impl ModelConfiguration {
    /// What lies at `path`, named after its last component, with default settings.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        let LoadRequest {
            path,
            name,
            options,
        } = LoadRequest::new(path);
        Self {
            name,
            path,
            parameters: None,
            quantization: None,
            kv_cache: None,
            load: options,
            generate: GenerateParams::default(),
        }
    }

    /// With other load options.
    #[must_use]
    pub fn with_load(mut self, load: LoadOptions) -> Self {
        self.load = load;
        self
    }

    /// With other generation settings.
    #[must_use]
    pub fn with_generate(mut self, generate: GenerateParams) -> Self {
        self.generate = generate;
        self
    }

    /// The request that loads it.
    pub fn load_request(&self) -> LoadRequest {
        LoadRequest {
            path: self.path.clone(),
            name: self.name.clone(),
            options: self.load.clone(),
        }
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] naming the first field out of range.
    pub fn validate(&self) -> Result<()> {
        let invalid = |field, value: String, expected| {
            Err(Error::InvalidParameter {
                field,
                value,
                expected: Cow::Borrowed(expected),
            })
        };
        if self.name.trim().is_empty() {
            return invalid(Field::Name, "empty".into(), "a text that is not blank");
        }
        if self.path.as_os_str().is_empty() {
            return invalid(Field::Path, "empty".into(), "a folder or a GGUF file");
        }
        if let Some(Quantization { bits, group_size }) = self.quantization
            && (!matches!(bits, 2..=6 | 8) || group_size == 0)
        {
            return invalid(
                Field::Quantization,
                format!("{bits} bits in groups of {group_size}"),
                "2, 3, 4, 5, 6 or 8 bits in groups of at least 1",
            );
        }
        if let Some(shape) = self.kv_cache {
            let sizes = [
                shape.layers,
                shape.kv_heads,
                shape.head_dim,
                shape.element_bytes,
            ];
            // Below 2^16 each, so that the product of all fits into 64 bits.
            if sizes.iter().any(|size| !(1..1 << 15).contains(size)) {
                return invalid(
                    Field::KvCache,
                    format!("{shape:?}"),
                    "sizes from 1 to 32767",
                );
            }
            if let Some(sliding) = shape.sliding
                && (sliding.layers > shape.layers || sliding.window == 0)
            {
                return invalid(
                    Field::KvCache,
                    format!("{sliding:?}"),
                    "at most all layers, with a window of at least 1",
                );
            }
        }
        self.generate.validate()
    }

    /// The memory needed with one sequence of `context` tokens; `None` if too little is known.
    ///
    /// Weights are `parameters` at their bits, plus a 16-bit scale and bias for each group; 16 bits
    /// each where they are not quantized. For the overhead see [`MemoryEstimate::new`].
    pub fn memory_estimate(&self, context: u32) -> Option<MemoryEstimate> {
        let parameters = self.parameters?;
        let weight_bytes = match self.quantization {
            None => parameters.saturating_mul(2),
            Some(Quantization { bits, group_size }) => {
                let groups = parameters.div_ceil(u64::from(group_size.max(1)));
                (parameters.saturating_mul(u64::from(bits)) / 8)
                    .saturating_add(groups.saturating_mul(4))
            }
        };
        let kv_bytes = self.kv_cache?.bytes(context);
        Some(MemoryEstimate::new(weight_bytes, kv_bytes))
    }
}
