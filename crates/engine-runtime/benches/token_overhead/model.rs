//! A model that costs no more than it is told to and the copy of its logits, and takes the time
//! between its steps.

use std::{
    collections::BTreeMap,
    hint,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use engine_core::{
    BackendInfo, ComputeType, Engine, Error, Logits, LogitsWanted, MemoryReport, Model, ModelInfo,
    Progress, Result, Run, SequenceId,
};
use engine_runtime::{EngineSettings, Loaded, TextPipeline, TextSources, spawn_engine};
use futures_executor::block_on;
use serde_json::json;

use super::vocabulary::{EOS, SIZE, tokenizer_json};

/// How logits are distributed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A few dozen likely tokens well above a floor, as a language model gives most of the time.
    Peaked,
    /// A floor alone, with thousands of tokens in play.
    Broad,
}

impl Shape {
    /// Canned of logits.
    pub(crate) fn rows(self, count: u64) -> Vec<Vec<f32>> {
        (0..count)
            .map(|row| {
                let mut state = row + 1;
                let mut uniform = || {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 40) as f32 / (1 << 24) as f32
                };
                // Twelve uniform numbers make a normal one, of a standard deviation of 2.2.
                let mut logits: Vec<f32> = (0..SIZE)
                    .map(|_| ((0..12).map(|_| uniform()).sum::<f32>() - 6.0) * 2.2)
                    .collect();
                if matches!(self, Self::Peaked) {
                    for _ in 0..60 {
                        let token = (uniform() * SIZE as f32) as usize % SIZE;
                        logits[token] = 9.0 + 11.0 * uniform() * uniform();
                    }
                }
                logits
            })
            .collect()
    }
}

/// Times between the steps of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps(Arc<Mutex<Vec<Duration>>>);

impl Gaps {
    pub(crate) fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, gap: Duration) {
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gaps.push(gap);
    }
}

struct Canned {
    info: ModelInfo,
    rows: Vec<Vec<f32>>,
    sequences: BTreeMap<SequenceId, usize>,
    next: u64,
    /// How long it computes a step.
    step: Duration,
    gaps: Gaps,
    handed_out: Option<Instant>,
}

/// An engine over such a model, and its times.
pub(crate) fn load(shape: Shape, step: Duration) -> (Arc<dyn Engine>, Gaps) {
    let config = json!({ "eos_token_id": EOS });
    let text = TextPipeline::new(TextSources {
        tokenizer_json: &tokenizer_json().to_string(),
        config: config.as_object(),
        ..TextSources::default()
    })
    .expect("a pipeline");
    let gaps = Gaps::default();
    let model = Canned {
        info: ModelInfo {
            backend: BackendInfo {
                name: "bench".to_owned(),
                version: "1".to_owned(),
                simulated: true,
            },
            architecture: "none".to_owned(),
            vocab_size: SIZE,
            context_length: 1 << 16,
            device: "none".to_owned(),
            compute: ComputeType::F32,
            quantization: None,
            weight_bytes: 0,
        },
        rows: shape.rows(16),
        sequences: BTreeMap::new(),
        next: 0,
        step,
        gaps: gaps.clone(),
        handed_out: None,
    };
    let settings = EngineSettings {
        prompt_cache_bytes: Some(0),
        embedding: None,
        name: "bench".to_owned(),
        path: None,
        prefill_chunk: 512,
        max_concurrent: 1,
    };
    let load = spawn_engine(
        move |_| {
            Ok(Loaded {
                model,
                text,
                settings,
            })
        },
        Progress::silent(),
    );
    (block_on(load).expect("an engine"), gaps)
}

impl Model for Canned {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        let id = SequenceId::new(self.next);
        self.next += 1;
        self.sequences.insert(id, 0);
        Ok(id)
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        let unknown = Error::UnknownSequence { id: sequence.get() };
        self.sequences.get(&sequence).copied().ok_or(unknown)
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        if let Some(handed_out) = self.handed_out.take() {
            self.gaps.push(handed_out.elapsed());
        }
        let begun = Instant::now();
        while begun.elapsed() < self.step {
            hint::spin_loop();
        }
        logits.reset(SIZE);
        for run in runs {
            let len = self.sequence_len(run.sequence)? + run.tokens.len();
            self.sequences.insert(run.sequence, len);
            match run.logits {
                LogitsWanted::None => logits.push_run(&[]),
                _ => logits.push_run(&self.rows[len % self.rows.len()]),
            }
        }
        self.handed_out = Some(Instant::now());
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        self.sequence_len(sequence)?;
        self.sequences.insert(sequence, len);
        Ok(())
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let len = self.sequence_len(sequence)?;
        let id = self.open()?;
        self.sequences.insert(id, len);
        Ok(id)
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        self.sequence_len(sequence)?;
        self.sequences.remove(&sequence);
        // What comes next is another answer.
        self.handed_out = None;
        Ok(())
    }

    fn memory(&self) -> MemoryReport {
        MemoryReport::default()
    }

    fn trim(&mut self) -> Result<()> {
        Ok(())
    }
}
