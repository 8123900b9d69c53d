//! How to load a model.

use std::{borrow::Cow, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Field, FieldSet, Result};

/// Which device computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DeviceChoice {
    /// The best device that answers.
    #[default]
    Auto,
    /// Apple's GPU.
    Metal,
    /// An NVIDIA GPU.
    Cuda,
    /// The processor.
    Cpu,
}

/// The number type of activations, and of the KV cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ComputeType {
    /// The files' own type on a GPU; `f32` where half types are emulated.
    #[default]
    Auto,
    /// The type that the files store their scales, norms or plain weights in.
    Stored,
    /// 32-bit floating point.
    F32,
    /// 16 bits a number: floating point, or integers with a scale for each head's key and value.
    F16,
    /// Brain floating point.
    Bf16,
}

/// The number type of the KV cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KvType {
    /// The backend's default.
    #[default]
    Auto,
    /// 16 bits a number: floating point, or integers with a scale for each head's key and value.
    F16,
    /// 8-bit integers with a scale for each head's key and value, or with a scale and a bias for
    /// each group of their numbers.
    Q8,
}

/// Settings of one load.
///
/// A backend honours every field that is set, or refuses with an error that names it:
/// [`Error::Unsupported`] where it never can, another where this model or value can't be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// What to compute in.
    pub compute: ComputeType,
    /// A smaller context than the model's own, in tokens, at least 1.
    pub context_length: Option<u32>,
    /// Prompt tokens read in one piece, at least 1. Cancellation and other requests come between
    /// two pieces.
    pub prefill_chunk: Option<u32>,
    /// Generations at the same time, at least 1; further ones wait.
    pub max_concurrent: Option<u32>,
    /// The most memory that the backend's allocator keeps for reuse, in bytes.
    pub cache_limit_bytes: Option<u64>,
    /// Threads that compute, from 1 to 1024, where the processor does.
    pub threads: Option<u32>,
    /// What the KV cache stores its numbers in.
    pub kv_type: KvType,
    /// The most memory, in bytes, for the caches of prompts and answers that are over, so that a
    /// request which begins like one of them reads only what is new; 0 keeps none.
    ///
    /// Default: a quarter of what the weights take, and at least 512 MiB.
    pub prompt_cache_bytes: Option<u64>,
}

/// More threads than any processor has use for.
const MOST_THREADS: u32 = 1024;

impl LoadOptions {
    /// The fields that ask for something.
    pub fn fields_set(&self) -> FieldSet {
        let asked = [
            (Field::Device, self.device != DeviceChoice::Auto),
            (Field::Compute, self.compute != ComputeType::Auto),
            (Field::ContextLength, self.context_length.is_some()),
            (Field::PrefillChunk, self.prefill_chunk.is_some()),
            (Field::MaxConcurrent, self.max_concurrent.is_some()),
            (Field::CacheLimitBytes, self.cache_limit_bytes.is_some()),
            (Field::Threads, self.threads.is_some()),
            (Field::KvType, self.kv_type != KvType::Auto),
            (Field::PromptCacheBytes, self.prompt_cache_bytes.is_some()),
        ];
        asked
            .into_iter()
            .filter_map(|(field, set)| set.then_some(field))
            .collect()
    }

    /// Checks every field against its range, and that the backend honours those that are set.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] or [`Error::Unsupported`], naming the field.
    pub fn validate(&self, backend: &str, supported: FieldSet) -> Result<()> {
        for (field, value) in [
            (Field::ContextLength, self.context_length),
            (Field::PrefillChunk, self.prefill_chunk),
            (Field::MaxConcurrent, self.max_concurrent),
        ] {
            if value == Some(0) {
                return Err(Error::InvalidParameter {
                    field,
                    value: "0".to_owned(),
                    expected: Cow::Borrowed("a whole number, at least 1"),
                });
            }
        }
        if let Some(threads) = self.threads
            && !(1..=MOST_THREADS).contains(&threads)
        {
            return Err(Error::InvalidParameter {
                field: Field::Threads,
                value: threads.to_string(),
                expected: Cow::Owned(format!("a whole number from 1 to {MOST_THREADS}")),
            });
        }
        match self
            .fields_set()
            .iter()
            .find(|field| !supported.contains(*field))
        {
            None => Ok(()),
            Some(field) => Err(Error::Unsupported {
                backend: backend.to_owned(),
                field,
            }),
        }
    }
}

/// What to load: a folder or file on this machine, a name for it, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    /// A folder with `config.json` and `*.safetensors`, or a GGUF file.
    pub path: PathBuf,
    /// The name that reports and errors use.
    pub name: String,
    /// Settings.
    pub options: LoadOptions,
}

impl LoadRequest {
    /// Loads what lies at `path`, named after its last component, with default options.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path
            .file_name()
            .map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy())
            .into_owned();
        Self {
            path,
            name,
            options: LoadOptions::default(),
        }
    }

    /// With these settings.
    #[must_use]
    pub fn with_options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }
}
