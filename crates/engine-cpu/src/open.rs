//! Loading: from a path and options to a model.

use std::{borrow::Cow, path::PathBuf, time::Instant};

use engine_core::{
    ComputeType, EmbeddingSettings, Error, Field, LoadProgress, LoadRequest, LoadStage, ModelInfo,
    Pooling, Progress, Quantization, Result,
};
use engine_runtime::{EngineSettings, Loaded, TextPipeline, TextSources};
use model_arch::DecoderSpec;
use model_files::{Checkpoint, Format, PoolingMode, SentencePooling};

use crate::{
    backend::{check, device, info},
    cache::{PageKind, PageShape},
    decoder::Precisions,
    file_errors::{from_arch, from_files},
    kernels,
    loader::{ensure_implemented, load},
    manifest::Manifest,
    model::{CpuModel, Parts},
    parallel::{Pool, physical_cores},
    sequences::Sequences,
};

/// Prompt tokens in one piece, unless the options say otherwise.
const PREFILL_CHUNK: usize = 512;

/// Generations at the same time, unless the options say otherwise.
const MAX_CONCURRENT: u32 = 8;

impl CpuModel {
    /// Loads a model.
    ///
    /// # Errors
    /// As [`Backend::load`](engine_core::Backend::load).
    pub fn load(request: &LoadRequest, progress: &Progress) -> Result<Self> {
        check(&request.options)?;
        let files = Files::open(request, progress)?;
        files.load(request, progress)
    }
}

/// The model and its text, for the runtime.
pub(crate) fn load_with_text(
    request: LoadRequest,
    progress: &Progress,
) -> Result<Loaded<CpuModel>> {
    let files = Files::open(&request, progress)?;
    progress.report(LoadProgress {
        stage: LoadStage::Tokenizer,
        done_bytes: 0,
        total_bytes: files.manifest.bytes,
    })?;
    let text = files.text()?;
    let embedding = files.checkpoint.pooling().and_then(embedding);
    let model = files.load(&request, progress)?;
    let options = request.options;
    Ok(Loaded {
        model,
        text,
        settings: EngineSettings {
            prefill_chunk: options
                .prefill_chunk
                .map_or(PREFILL_CHUNK, |tokens| tokens as usize),
            max_concurrent: options.max_concurrent.unwrap_or(MAX_CONCURRENT),
            prompt_cache_bytes: options.prompt_cache_bytes,
            embedding,
            name: request.name,
            path: Some(request.path),
        },
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
        ensure_implemented(&spec)?;
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

    fn load(self, request: &LoadRequest, progress: &Progress) -> Result<CpuModel> {
        let begun = Instant::now();
        let options = &request.options;
        let threads = options
            .threads
            .map_or_else(physical_cores, |threads| threads as usize);
        let mut pool = Pool::new(threads)?;
        let decoder = load(
            &self.checkpoint,
            &self.spec,
            &self.manifest,
            match options.compute {
                ComputeType::F32 => Precisions::EXACT,
                _ => Precisions::MIXED,
            },
            &mut pool,
            progress,
        )?;
        let weight_bytes = decoder.weight_bytes();
        tracing::info!(
            model = %request.name,
            seconds = begun.elapsed().as_secs_f64(),
            weight_bytes,
            threads,
            "loaded the weights"
        );
        let shape = PageShape {
            kv_heads: self.spec.attention.kv_heads as usize,
            head_dim: self.spec.attention.head_dim as usize,
            kind: PageKind::from(options.kv_type),
        };
        Ok(CpuModel::new(Parts {
            info: ModelInfo {
                backend: info(),
                device: device(),
                architecture: self.spec.model_type.clone(),
                vocab_size: self.spec.vocab_size as usize,
                context_length: self.context as usize,
                compute: ComputeType::F32,
                quantization: self.spec.quantization.as_ref().map(|plan| Quantization {
                    bits: plan.default.bits,
                    group_size: plan.default.group_size,
                }),
                weight_bytes,
            },
            sequences: Sequences::new(decoder.windows(), shape),
            decoder,
            kernels: kernels::best(),
            pool,
        }))
    }
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

/// Where the configuration was read from.
fn config_path(checkpoint: &Checkpoint) -> PathBuf {
    match checkpoint.format() {
        Format::Safetensors => checkpoint.path().join("config.json"),
        _ => checkpoint.path().to_path_buf(),
    }
}
