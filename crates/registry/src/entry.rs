//! One model of a list.

use std::path::PathBuf;

use engine_core::{KvCacheShape, MemoryEstimate, ModelConfiguration, Quantization};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ConfigFacts, Recommended, Runs};

/// A model worth knowing. What is `None` or empty is not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelEntry {
    /// A short name that is unique in the registry: `qwen3-0.6b`.
    pub name: String,
    /// Where its files are.
    pub place: Place,
    /// What it belongs to: `Qwen3`.
    pub family: Option<String>,
    /// Its architecture: `model_type` of `config.json`.
    pub model_type: Option<String>,
    /// Weights.
    pub parameters: Option<u64>,
    /// How they are quantized, in MLX's affine form; `None` also if in another form.
    pub quantization: Option<Quantization>,
    /// Bits of a weight on average, where modules differ.
    pub bits_per_weight: Option<f64>,
    /// Tokens for which it was trained.
    pub context: Option<u32>,
    /// The licence's identifier.
    pub license: Option<String>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Remarks to search by.
    pub tags: Vec<String>,
    /// Settings that its publisher recommends.
    pub generate: Recommended,
    /// The KV cache's shape, with numbers of 2 bytes.
    pub kv_cache: Option<KvCacheShape>,
    /// Bytes to download.
    pub download_bytes: Option<u64>,
    /// Whether this project can run it.
    pub runs: Runs,
    /// Which list it comes from.
    pub origin: Origin,
    /// Members of `config.json`, as far as they are known.
    #[serde(skip)]
    pub config: Map<String, Value>,
}

/// Where a model's files are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Place {
    /// In a repository of the Hub.
    Hub {
        /// `organisation/name`.
        repo: String,
        /// A branch, tag or commit; `None` is the main branch.
        revision: Option<String>,
    },
    /// On this machine: a folder or a GGUF file.
    Local {
        /// Where.
        path: PathBuf,
    },
}

/// What a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// Answer in a conversation.
    Chat,
    /// Think before it answers.
    Reasoning,
    /// Call functions.
    Tools,
    /// See pictures.
    Vision,
    /// Write programs.
    Code,
    /// Turn texts into vectors.
    Embeddings,
}

impl Capability {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Chat,
        Self::Reasoning,
        Self::Tools,
        Self::Vision,
        Self::Code,
        Self::Embeddings,
    ];

    /// Its name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Reasoning => "reasoning",
            Self::Tools => "tools",
            Self::Vision => "vision",
            Self::Code => "code",
            Self::Embeddings => "embeddings",
        }
    }
}

/// Which list an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// The curated list.
    BuiltIn,
    /// A file of the user's.
    File {
        /// Which.
        path: PathBuf,
    },
    /// No list: the model's own card and configuration.
    Model,
}

impl ModelEntry {
    /// The repository, if the files are in one.
    pub fn repo(&self) -> Option<&str> {
        match &self.place {
            Place::Hub { repo, .. } => Some(repo),
            Place::Local { .. } => None,
        }
    }

    /// What its configuration says.
    pub fn facts(&self) -> ConfigFacts {
        ConfigFacts::read(&self.config)
    }

    /// The memory needed with one sequence of `context` tokens, with numbers of 2 bytes; `None` if
    /// too little is known.
    ///
    /// It is that of [`ModelConfiguration::memory_estimate`], unless the entry tells bits per
    /// weight.
    pub fn memory_estimate(&self, context: u32) -> Option<MemoryEstimate> {
        if let (Some(bits), Some(parameters)) = (self.bits_per_weight, self.parameters) {
            let weight_bytes = (parameters as f64 * bits / 8.0) as u64;
            let kv_bytes = self.kv_cache?.bytes(context);
            return Some(MemoryEstimate::new(weight_bytes, kv_bytes));
        }
        self.configuration("").memory_estimate(context)
    }

    /// The configuration that loads the model from `path`, where its files lie by now.
    pub fn configuration(&self, path: impl Into<PathBuf>) -> ModelConfiguration {
        ModelConfiguration {
            name: self.name.clone(),
            parameters: self.parameters,
            quantization: self.quantization,
            kv_cache: self.kv_cache,
            generate: self.generate.params(),
            ..ModelConfiguration::from_path(path)
        }
    }
}
