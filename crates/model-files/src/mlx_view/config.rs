//! `config.json` from GGUF metadata, in the form that Hugging Face and mlx-lm use.
//!
//! The metadata keys are those of the GGUF specification's section "LLM".

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::{
    affine::Blocks,
    keys::{Keys, object},
};
use crate::{
    Dtype, FilesError, TensorInfo,
    gguf::{GgufFile, MetadataValue},
};

/// `general.architecture`, the class that Hugging Face's `architectures` names, and whether the
/// file's query and key rows lie in rotary pairs.
const ARCHITECTURES: [(&str, &str, bool); 3] = [
    ("llama", "LlamaForCausalLM", true),
    ("qwen2", "Qwen2ForCausalLM", false),
    ("qwen3", "Qwen3ForCausalLM", false),
];

/// The model's measures, as the metadata gives them.
#[derive(Debug)]
pub(super) struct Hyperparameters {
    pub(super) architecture: String,
    class: &'static str,
    pub(super) paired_rows: bool,
    pub(super) layers: u64,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    head_dim: u64,
    hidden_size: u64,
    intermediate_size: u64,
    pub(super) context_length: u64,
    sliding_window: Option<u64>,
    rms_norm_eps: f64,
    rope_theta: f64,
    rope_scaling: Option<Map<String, Value>>,
}

impl Hyperparameters {
    pub(super) fn read(file: &GgufFile) -> Result<Self, FilesError> {
        let metadata = file.metadata();
        let architecture = metadata
            .get("general.architecture")
            .and_then(MetadataValue::as_str)
            .ok_or_else(|| {
                FilesError::malformed(file.path(), "the metadata general.architecture is missing")
            })?;
        let Some((_, class, paired_rows)) = ARCHITECTURES
            .into_iter()
            .find(|(name, ..)| *name == architecture)
        else {
            let known: Vec<_> = ARCHITECTURES.iter().map(|(name, ..)| *name).collect();
            return Err(FilesError::unsupported(
                file.path(),
                format!(
                    "GGUF files of the architecture {architecture:?} are not read; those of {} are",
                    known.join(", ")
                ),
            ));
        };
        let splits = metadata
            .get("split.count")
            .and_then(MetadataValue::as_u64)
            .unwrap_or(0);
        if splits > 1 {
            return Err(FilesError::unsupported(
                file.path(),
                format!(
                    "it is one of {splits} files of a split model; join them with gguf-split first"
                ),
            ));
        }
        let keys = Keys::new(file, architecture);
        keys.refuse_unpresentable()?;

        let heads = keys.count("attention.head_count")?;
        let hidden_size = keys.count("embedding_length")?;
        let head_dim = match keys.optional_count("attention.key_length")? {
            Some(length) => length,
            None => hidden_size / heads,
        };
        for key in ["attention.value_length", "rope.dimension_count"] {
            let other = keys.optional_count(key)?.unwrap_or(head_dim);
            if other != head_dim {
                return Err(FilesError::unsupported(
                    file.path(),
                    format!(
                        "{} is {other} and a head has {head_dim} numbers; that they differ is not implemented",
                        keys.name(key)
                    ),
                ));
            }
        }
        let rope_theta = keys.optional_real("rope.freq_base")?.unwrap_or(10_000.0);
        Ok(Self {
            class,
            paired_rows,
            layers: keys.count("block_count")?,
            heads,
            kv_heads: keys
                .optional_count("attention.head_count_kv")?
                .unwrap_or(heads),
            head_dim,
            hidden_size,
            intermediate_size: keys.count("feed_forward_length")?,
            context_length: keys.count("context_length")?,
            sliding_window: keys
                .optional_count("attention.sliding_window")?
                .filter(|window| *window > 0),
            rms_norm_eps: keys
                .optional_real("attention.layer_norm_rms_epsilon")?
                .ok_or_else(|| {
                    keys.wrong(
                        "attention.layer_norm_rms_epsilon",
                        "a floating-point number",
                    )
                })?,
            rope_theta,
            rope_scaling: keys.rope_scaling(rope_theta, head_dim)?,
            architecture: architecture.to_owned(),
        })
    }

    /// The synthesised `config.json`.
    pub(super) fn to_config(
        &self,
        file: &GgufFile,
        tensors: &BTreeMap<String, TensorInfo>,
        quantized: &BTreeMap<String, Blocks>,
    ) -> Result<Map<String, Value>, FilesError> {
        let vocab_size = file
            .tensor("token_embd.weight")
            .and_then(|tensor| tensor.shape.first())
            .ok_or_else(|| {
                FilesError::malformed(file.path(), "the tensor token_embd.weight is missing")
            })?;
        let has = |name: &str| tensors.contains_key(name);
        let torch_dtype = match tensors
            .get("model.embed_tokens.weight")
            .map(|info| info.dtype)
        {
            Some(Dtype::F32) => "float32",
            Some(Dtype::BF16) => "bfloat16",
            _ => "float16",
        };
        let mut config = object(json!({
            "model_type": self.architecture,
            "architectures": [self.class],
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.intermediate_size,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "max_position_embeddings": self.context_length,
            "vocab_size": vocab_size,
            "tie_word_embeddings": file.tensor("output.weight").is_none(),
            "torch_dtype": torch_dtype,
        }));
        if self.architecture == "llama" {
            let bias = ["q_proj", "k_proj", "v_proj", "o_proj"]
                .iter()
                .any(|part| has(&format!("model.layers.0.self_attn.{part}.bias")));
            config.insert("attention_bias".into(), bias.into());
            config.insert(
                "mlp_bias".into(),
                has("model.layers.0.mlp.down_proj.bias").into(),
            );
        }
        if let Some(scaling) = &self.rope_scaling {
            config.insert("rope_scaling".into(), scaling.clone().into());
        }
        if let Some(window) = self.sliding_window {
            config.insert("sliding_window".into(), window.into());
        }
        config.extend(generation_config(file.metadata()));
        if let Some(quantization) = quantization(tensors, quantized) {
            config.insert("quantization".into(), quantization.clone());
            // mlx-lm writes both; the second is the one that the Hub shows.
            config.insert("quantization_config".into(), quantization);
        }
        Ok(config)
    }
}

/// The special tokens' ids, as `generation_config.json` has them.
///
/// Llama 3's files name the end of a turn apart from the end of the text: both end an answer.
pub(super) fn generation_config(metadata: &BTreeMap<String, MetadataValue>) -> Map<String, Value> {
    let id = |key: &str| {
        metadata
            .get(&format!("tokenizer.ggml.{key}_token_id"))
            .and_then(MetadataValue::as_u64)
    };
    let mut config = Map::new();
    if let Some(bos) = id("bos") {
        config.insert("bos_token_id".into(), bos.into());
    }
    let mut ends: Vec<u64> = Vec::new();
    for end in [id("eos"), id("eot")].into_iter().flatten() {
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    match ends.as_slice() {
        [] => {}
        [only] => {
            config.insert("eos_token_id".into(), (*only).into());
        }
        several => {
            config.insert("eos_token_id".into(), several.into());
        }
    }
    if let Some(pad) = id("padding") {
        config.insert("pad_token_id".into(), pad.into());
    }
    config
}

/// mlx-lm's `quantization`: what most modules have, and by name those that differ.
fn quantization(
    tensors: &BTreeMap<String, TensorInfo>,
    quantized: &BTreeMap<String, Blocks>,
) -> Option<Value> {
    let form = |blocks: &Blocks| (blocks.bits(), blocks.group_size());
    let in_words = |(bits, group)| json!({ "group_size": group, "bits": bits, "mode": "affine" });
    let mut votes: HashMap<(usize, usize), usize> = HashMap::new();
    for blocks in quantized.values() {
        *votes.entry(form(blocks)).or_default() += 1;
    }
    let (default, _) = votes
        .into_iter()
        .max_by_key(|(form, votes)| (*votes, *form))?;
    let mut map = object(in_words(default));
    for info in tensors.values() {
        let Some(module) = info.name.strip_suffix(".weight") else {
            continue;
        };
        match quantized.get(module) {
            Some(blocks) if form(blocks) == default => {}
            Some(blocks) => {
                map.insert(module.to_owned(), in_words(form(blocks)));
            }
            // Norms are vectors and never quantized, so only matrices need to say that they are not.
            None if info.shape.len() == 2 => {
                map.insert(module.to_owned(), false.into());
            }
            None => {}
        }
    }
    Some(map.into())
}
