//! Loading: from a path and options to a model.

use std::{borrow::Cow, path::PathBuf};

use engine_core::{
    EmbeddingSettings, Error, Field, KvType, LoadProgress, LoadRequest, LoadStage, ModelInfo,
    Pooling, Progress, Quantization, Result,
};
use engine_runtime::{EngineSettings, Loaded, TextPipeline, TextSources};
use model_arch::{DecoderSpec, LayerAttention};
use model_files::{Checkpoint, Format, PoolingMode, SentencePooling};

use super::{
    batch::Sizes,
    cache_limit::CacheLimit,
    compute::Compute,
    device::Device,
    exception::Doing,
    file_errors::{from_arch, from_files},
    kv_numbers::KvForm,
    loader::{Source, load},
    manifest::Manifest,
    model::{MlxModel, Parts},
    room::{ensure_room, ensure_within_limit},
};
use crate::backend::info;

/// Prompt tokens in one piece, unless the options say otherwise. A piece can't be cancelled, and
/// takes seconds on the processor.
const PREFILL_CHUNK_ON_CPU: usize = 128;
const PREFILL_CHUNK_ON_GPU: usize = 2048;

/// Generations at the same time, unless the options say otherwise.
const MAX_CONCURRENT: u32 = 4;

impl MlxModel {
    /// Loads a model on this thread, where it has to stay.
    ///
    /// # Errors
    /// As [`Backend::load`](engine_core::Backend::load).
    pub fn load(request: &LoadRequest, progress: &Progress) -> Result<Self> {
        let files = Files::open(request, progress)?;
        files.load(request, progress)
    }
}

/// The model and its text, for the runtime.
pub(crate) fn load_with_text(
    request: LoadRequest,
    progress: &Progress,
) -> Result<Loaded<MlxModel>> {
    let files = Files::open(&request, progress)?;
    report(progress, LoadStage::Tokenizer, &files)?;
    let text = files.text()?;
    let embedding = files.checkpoint.pooling().and_then(embedding);
    let model = files.load(&request, progress)?;
    let settings = EngineSettings {
        prefill_chunk: request.options.prefill_chunk.map_or_else(
            || {
                if model.computes_on_cpu() {
                    PREFILL_CHUNK_ON_CPU
                } else {
                    PREFILL_CHUNK_ON_GPU
                }
            },
            |tokens| tokens as usize,
        ),
        max_concurrent: request.options.max_concurrent.unwrap_or(MAX_CONCURRENT),
        prompt_cache_bytes: request.options.prompt_cache_bytes,
        embedding,
        name: request.name,
        path: Some(request.path),
    };
    Ok(Loaded {
        model,
        text,
        settings,
    })
}

/// How the model embeds texts, in the words of the core.
fn embedding(files: SentencePooling) -> Option<EmbeddingSettings> {
    let pooling = match files.mode {
        PoolingMode::Cls => Pooling::First,
        PoolingMode::Mean => Pooling::Mean,
        PoolingMode::LastToken => Pooling::Last,
        _ => return None,
    };
    Some(EmbeddingSettings {
        pooling,
        normalize: files.normalize,
    })
}

/// A model's files, found to fit together.
struct Files {
    checkpoint: Checkpoint,
    spec: DecoderSpec,
    manifest: Manifest,
    context: u32,
}

impl Files {
    fn open(request: &LoadRequest, progress: &Progress) -> Result<Self> {
        progress.report(LoadProgress {
            stage: LoadStage::Reading,
            done_bytes: 0,
            total_bytes: 0,
        })?;
        let checkpoint =
            Checkpoint::open(&request.path).map_err(|error| from_files(&request.path, error))?;
        let spec = DecoderSpec::from_config(checkpoint.config())
            .map_err(|error| from_arch(&config_path(&checkpoint), &error))?;
        let context = context(&spec, request.options.context_length)?;
        let manifest = Manifest::check(&checkpoint, &spec)?;
        if let Some(window) = spec.ignored_sliding_window {
            tracing::warn!(
                model = %request.name,
                window,
                "the model was trained with a sliding window that its family does not apply; \
                 answers that reach further back may be worse"
            );
        }
        Ok(Self {
            checkpoint,
            spec,
            manifest,
            context,
        })
    }

    fn text(&self) -> Result<TextPipeline> {
        let text = self.checkpoint.text();
        TextPipeline::new(TextSources {
            tokenizer_json: &text.tokenizer_json,
            tokenizer_config: text.tokenizer_config.as_ref(),
            chat_template: text.chat_template.as_deref(),
            config: Some(self.checkpoint.config()),
            generation_config: self.checkpoint.generation_config(),
        })
    }

    fn load(self, request: &LoadRequest, progress: &Progress) -> Result<MlxModel> {
        let options = &request.options;
        let device = Device::open(options.device)?;
        let compute = Compute::choose(options.compute, self.manifest.stored(), device.is_cpu());
        let kv_form = kv_form(options.kv_type, &self.spec, compute)?;
        let bytes = self.manifest.memory_bytes(compute);
        if device.is_cpu() {
            ensure_room("the weights", bytes)?;
        } else {
            ensure_within_limit("the weights", bytes)?;
        }
        let cache_limit = options
            .cache_limit_bytes
            .map(CacheLimit::new)
            .transpose()
            .doing("limit the memory kept for reuse")?;
        let (decoder, weight_bytes) = load(
            Source {
                checkpoint: &self.checkpoint,
                spec: &self.spec,
                manifest: &self.manifest,
                device: &device,
                compute,
                kv_form,
            },
            progress,
        )?;
        let model = ModelInfo {
            backend: info(),
            device: device.name().to_owned(),
            architecture: self.spec.model_type.clone(),
            vocab_size: self.spec.vocab_size as usize,
            context_length: self.context as usize,
            compute: compute.name(),
            quantization: self.spec.quantization.as_ref().map(|plan| Quantization {
                bits: plan.default.bits,
                group_size: plan.default.group_size,
            }),
            weight_bytes,
        };
        Ok(MlxModel::new(Parts {
            sizes: sizes(&self.spec, self.context, compute, kv_form),
            info: model,
            decoder,
            cache_limit,
            device,
        }))
    }
}

fn report(progress: &Progress, stage: LoadStage, files: &Files) -> Result<()> {
    progress.report(LoadProgress {
        stage,
        done_bytes: 0,
        total_bytes: files.manifest.bytes(),
    })
}

/// The model's own context, or a smaller one.
fn context(spec: &DecoderSpec, wanted: Option<u32>) -> Result<u32> {
    match wanted {
        None => Ok(spec.context_length),
        Some(wanted) if (1..=spec.context_length).contains(&wanted) => Ok(wanted),
        Some(wanted) => Err(Error::InvalidParameter {
            field: Field::ContextLength,
            value: wanted.to_string(),
            expected: Cow::Owned(format!(
                "from 1 to the model's own {} tokens",
                spec.context_length
            )),
        }),
    }
}

/// How caches store their numbers.
fn kv_form(wanted: KvType, spec: &DecoderSpec, compute: Compute) -> Result<KvForm> {
    let head_dim = spec.attention.head_dim;
    match wanted {
        KvType::Q8 => {
            KvForm::eight_bits(head_dim as usize).ok_or_else(|| Error::UnsupportedByModel {
                field: Field::KvType,
                reason: Cow::Owned(format!(
                    "MLX packs numbers in groups of 32 or 64, and a head has {head_dim}"
                )),
            })
        }
        KvType::F16 if compute != Compute::F16 => Err(Error::InvalidParameter {
            field: Field::KvType,
            value: "f16".to_owned(),
            expected: Cow::Owned(format!(
                "auto or q8: on MLX the cache has else the type that the model computes in, {:?}",
                compute.name()
            )),
        }),
        _ => Ok(KvForm::Plain),
    }
}

fn sizes(spec: &DecoderSpec, context: u32, compute: Compute, kv_form: KvForm) -> Sizes {
    Sizes {
        layers: spec.layers as usize,
        hidden: spec.hidden_size as usize,
        intermediate: spec.widest_mlp() as usize,
        heads: spec.attention.heads as usize,
        kv_heads: spec.attention.kv_heads as usize,
        head_dim: spec.attention.head_dim as usize,
        vocab: spec.vocab_size as usize,
        context: context as usize,
        sees_all: spec
            .layer_attention
            .iter()
            .all(|attention| matches!(attention, LayerAttention::Full)),
        compute,
        kv_form,
    }
}

/// Where the configuration was read from.
fn config_path(checkpoint: &Checkpoint) -> PathBuf {
    match checkpoint.format() {
        Format::Safetensors => checkpoint.path().join("config.json"),
        _ => checkpoint.path().to_path_buf(),
    }
}
