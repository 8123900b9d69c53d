//! A backend in one file: a model that counts, run by `engine-runtime` like any other.
//!
//! `cargo run -p mlxengine --example custom_backend`
//!
//! The model is a few methods on sequences of tokens. Streaming, sampling, stop strings,
//! cancellation and the thread come from `engine-runtime`. `docs/writing-a-backend.md` goes through
//! it step by step.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{collections::HashMap, error::Error as StdError, sync::Arc};

use engine_core::{Logits, LogitsWanted, Model, Progress, Run, SequenceId};
use engine_runtime::{EngineSettings, Loaded, TextPipeline, TextSources, spawn_engine};
use mlxengine::{
    Availability, Backend, BackendInfo, BoxFuture, ComputeType, Engine, Error, Field, FieldSet,
    GenerateParams, InferenceEngine, LoadProgress, LoadStage, MemoryReport, ModelConfiguration,
    ModelInfo, Result, TokenId,
};

const NAME: &str = "counting";
const WORDS: [&str; 11] = [
    "<unknown>",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "<end>",
];
const CONTEXT: usize = 64;

/// What the backend is.
#[derive(Debug)]
pub(crate) struct CountingBackend;

impl Backend for CountingBackend {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            simulated: false,
        }
    }

    fn availability(&self) -> Availability {
        Availability::Ready {
            device: "CPU".to_owned(),
        }
    }

    fn load(
        &self,
        request: engine_core::LoadRequest,
        progress: Progress,
    ) -> BoxFuture<Result<Arc<dyn Engine>>> {
        // No load option means anything here, so every one that is set is refused.
        if let Err(error) = request.options.validate(NAME, FieldSet::NONE) {
            return Box::pin(async { Err(error) });
        }
        let info = self.info();
        spawn_engine(
            move |progress| {
                // This runs on the model's own thread; what it makes never leaves it.
                progress.report(LoadProgress {
                    stage: LoadStage::Tokenizer,
                    done_bytes: 0,
                    total_bytes: 0,
                })?;
                let text = TextPipeline::new(TextSources {
                    tokenizer_json: &tokenizer_json(),
                    config: serde_json::json!({ "eos_token_id": WORDS.len() - 1 }).as_object(),
                    ..TextSources::default()
                })?;
                Ok(Loaded {
                    model: CountingModel::new(info),
                    text,
                    settings: EngineSettings {
                        name: request.name,
                        path: None,
                        prefill_chunk: 16,
                        max_concurrent: 4,
                        prompt_cache_bytes: None,
                        embedding: None,
                    },
                })
            },
            progress,
        )
    }
}

/// Each word on its own is a token.
fn tokenizer_json() -> String {
    let vocabulary: serde_json::Map<_, _> = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), id.into()))
        .collect();
    serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": WORDS[0] },
    })
    .to_string()
}

/// After each number it expects the next.
pub(crate) struct CountingModel {
    info: ModelInfo,
    sequences: HashMap<SequenceId, Vec<TokenId>>,
    opened: u64,
}

impl CountingModel {
    pub(crate) fn new(backend: BackendInfo) -> Self {
        Self {
            info: ModelInfo {
                backend,
                device: "CPU".to_owned(),
                architecture: "counting".to_owned(),
                vocab_size: WORDS.len(),
                context_length: CONTEXT,
                compute: ComputeType::F32,
                quantization: None,
                weight_bytes: 0,
            },
            sequences: HashMap::new(),
            opened: 0,
        }
    }

    fn insert(&mut self, tokens: Vec<TokenId>) -> SequenceId {
        self.opened += 1;
        let id = SequenceId::new(self.opened);
        self.sequences.insert(id, tokens);
        id
    }

    fn sequence(&self, id: SequenceId) -> Result<&Vec<TokenId>> {
        self.sequences
            .get(&id)
            .ok_or(Error::UnknownSequence { id: id.get() })
    }

    /// Everything that can be wrong with a batch, found before anything changes.
    fn check(&self, runs: &[Run<'_>]) -> Result<()> {
        for (i, run) in runs.iter().enumerate() {
            let held = self.sequence(run.sequence)?.len();
            if run.tokens.is_empty() || runs[..i].iter().any(|r| r.sequence == run.sequence) {
                return Err(Error::InvalidParameter {
                    field: Field::Prompt,
                    value: format!("run {i} of a batch"),
                    expected: "at least one token, each sequence once".into(),
                });
            }
            if held + run.tokens.len() > CONTEXT {
                return Err(Error::ContextOverflow {
                    prompt_tokens: held + run.tokens.len(),
                    context_length: CONTEXT,
                });
            }
            if let Some(&token) = run.tokens.iter().find(|t| **t as usize >= WORDS.len()) {
                return Err(Error::InvalidToken {
                    token,
                    vocab_size: WORDS.len(),
                });
            }
        }
        Ok(())
    }
}

/// The logits after a token: high for its successor.
fn row(token: TokenId) -> Vec<f32> {
    let mut row = vec![0.0; WORDS.len()];
    let next = (token as usize + 1).min(WORDS.len() - 1);
    row[next] = 10.0;
    row
}

impl Model for CountingModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        Ok(self.insert(Vec::new()))
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        Ok(self.sequence(sequence)?.len())
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        self.check(runs)?;
        logits.reset(WORDS.len());
        for run in runs {
            if let Some(tokens) = self.sequences.get_mut(&run.sequence) {
                tokens.extend_from_slice(run.tokens);
            }
            let wanted = match run.logits {
                LogitsWanted::None => &[],
                LogitsWanted::Last => &run.tokens[run.tokens.len() - 1..],
                _ => run.tokens,
            };
            let rows: Vec<f32> = wanted.iter().copied().flat_map(row).collect();
            logits.push_run(&rows);
        }
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        let held = self.sequence(sequence)?.len();
        if len > held {
            return Err(Error::InvalidParameter {
                field: Field::ContextLength,
                value: len.to_string(),
                expected: format!("at most {held}, the sequence's length").into(),
            });
        }
        if let Some(tokens) = self.sequences.get_mut(&sequence) {
            tokens.truncate(len);
        }
        Ok(())
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let tokens = self.sequence(sequence)?.clone();
        Ok(self.insert(tokens))
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        self.sequences
            .remove(&sequence)
            .map(|_| ())
            .ok_or(Error::UnknownSequence { id: sequence.get() })
    }

    fn memory(&self) -> MemoryReport {
        let mut report = MemoryReport::default();
        report.sequences = self.sequences.len() as u32;
        report
    }

    fn trim(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn main() -> Result<(), Box<dyn StdError>> {
    futures_executor::block_on(async {
        let configuration =
            ModelConfiguration::from_path("counting").with_generate(GenerateParams::greedy());
        let engine = InferenceEngine::load(configuration)
            .with_backend(Arc::new(CountingBackend))
            .await?;
        let answer = engine.generate("one two", None).await?;
        println!("one two{}", answer.text);
        println!("{:?}", answer.summary.finish);
        assert_eq!(answer.text.trim(), "three four five six seven eight nine");
        Ok(())
    })
}
