//! The mock as a backend, and its pretended loading.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use engine_core::{
    Availability, Backend, BackendInfo, BoxFuture, ComputeType, Engine, Error, Field, FieldSet,
    LoadOptions, LoadProgress, LoadRequest, LoadStage, ModelInfo, Progress, Result,
};
use engine_runtime::{EngineSettings, Loaded, TextPipeline, spawn_engine};

use crate::{
    MockBuilder, MockModel,
    fault::{Kind, Place},
    model::{Parts, simulated_panic},
    pace::sleep,
    text,
    vocabulary::Vocabulary,
};

/// The backend's name.
pub(crate) const NAME: &str = "mock";

/// The load options that mean something without a device and without an allocator.
const SUPPORTED: FieldSet = FieldSet::NONE
    .with(Field::ContextLength)
    .with(Field::PrefillChunk)
    .with(Field::MaxConcurrent)
    .with(Field::PromptCacheBytes);

/// A backend that runs no model. What it answers is made up, and it says so.
///
/// It reads no file: the path of a [`LoadRequest`] is only passed on to
/// [`EngineInfo::path`](engine_core::EngineInfo::path), whether something lies there or not.
#[derive(Clone, Debug)]
pub struct MockBackend {
    settings: Arc<MockBuilder>,
    /// Loads begun, by all clones of this backend.
    loads: Arc<AtomicU64>,
}

impl Default for MockBackend {
    /// Answers with words drawn from seed 0.
    fn default() -> Self {
        Self::new(MockBuilder::default())
    }
}

impl MockBackend {
    pub(crate) fn new(settings: MockBuilder) -> Self {
        Self {
            settings: Arc::new(settings),
            loads: Arc::default(),
        }
    }

    /// Settings to begin with.
    pub fn builder() -> MockBuilder {
        MockBuilder::default()
    }

    /// The model alone, as the engine would run it, for tests of what runs models.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if a reply can't be tokenized.
    pub fn model(&self) -> Result<MockModel> {
        self.settings
            .model(&self.settings.pipeline()?, &LoadOptions::default())
    }
}

impl Backend for MockBackend {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            simulated: true,
        }
    }

    fn availability(&self) -> Availability {
        Availability::Ready {
            device: DEVICE.to_owned(),
        }
    }

    fn load(&self, request: LoadRequest, progress: Progress) -> BoxFuture<Result<Arc<dyn Engine>>> {
        if let Err(error) = self.settings.check(&request.options) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let settings = Arc::clone(&self.settings);
        let load = self.loads.fetch_add(1, Ordering::Relaxed);
        spawn_engine(
            move |progress| settings.load(request, load, progress),
            progress,
        )
    }
}

const DEVICE: &str = "none (simulated)";

impl MockBuilder {
    fn check(&self, options: &LoadOptions) -> Result<()> {
        options.validate(NAME, SUPPORTED)?;
        match options.context_length {
            Some(tokens) if tokens > self.context_length => Err(Error::InvalidParameter {
                field: Field::ContextLength,
                value: tokens.to_string(),
                expected: Cow::Owned(format!("at most the model's own {}", self.context_length)),
            }),
            _ => Ok(()),
        }
    }

    fn pipeline(&self) -> Result<TextPipeline> {
        text::pipeline(self.chat_template.as_deref())
    }

    fn model(&self, text: &TextPipeline, options: &LoadOptions) -> Result<MockModel> {
        let info = ModelInfo {
            backend: BackendInfo {
                name: NAME.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                simulated: true,
            },
            device: DEVICE.to_owned(),
            architecture: "mock".to_owned(),
            vocab_size: Vocabulary::get().len(),
            context_length: options.context_length.unwrap_or(self.context_length) as usize,
            compute: ComputeType::F32,
            quantization: None,
            weight_bytes: self.weight_bytes,
        };
        Ok(MockModel::new(Parts {
            info,
            source: self.answers.prepare(text)?,
            pace: self.pace,
            faults: self.faults.clone(),
            on_device: self.on_device,
            window: self.window,
        }))
    }

    /// Pretends to read a model, and makes the mock.
    fn load(
        &self,
        request: LoadRequest,
        load: u64,
        progress: &Progress,
    ) -> Result<Loaded<MockModel>> {
        tracing::warn!(
            model = %request.name,
            "the mock backend runs no model: its answers are made up"
        );
        let report = |stage, done_bytes| {
            progress.report(LoadProgress {
                stage,
                done_bytes,
                total_bytes: self.weight_bytes,
            })
        };
        report(LoadStage::Reading, 0)?;
        report(LoadStage::Tokenizer, 0)?;
        let text = self.pipeline()?;
        let steps = self.load_steps.get();
        for step in 1..=steps {
            sleep(self.pace.load / steps);
            if step == steps.div_ceil(2) {
                self.fail_load(load)?;
            }
            // Wide enough for any number of bytes and steps.
            let done = u128::from(self.weight_bytes) * u128::from(step) / u128::from(steps);
            report(LoadStage::Weights, done as u64)?;
        }
        let options = &request.options;
        Ok(Loaded {
            model: self.model(&text, options)?,
            text,
            settings: EngineSettings {
                prefill_chunk: options.prefill_chunk.unwrap_or(self.prefill_chunk) as usize,
                max_concurrent: options.max_concurrent.unwrap_or(self.max_concurrent),
                prompt_cache_bytes: options.prompt_cache_bytes,
                embedding: None,
                name: request.name,
                path: Some(request.path),
            },
        })
    }

    /// Lets the fault of this load strike.
    fn fail_load(&self, load: u64) -> Result<()> {
        for fault in &self.faults {
            if !fault.strikes(Place::Load, load) {
                continue;
            }
            match &fault.kind {
                Kind::Error(error) => return Err(error()),
                Kind::Panic => simulated_panic("a load"),
                Kind::Stall(door) => door.pass(),
                // No constructor makes a load of it.
                Kind::Nan => {}
            }
        }
        Ok(())
    }
}
