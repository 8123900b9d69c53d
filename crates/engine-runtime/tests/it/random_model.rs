//! An engine over a model that has learned nothing: its logits are noise, drawn from the tokens
//! before and from a seed.

use std::{collections::BTreeMap, sync::Arc};

use engine_core::{
    BackendInfo, Completion, ComputeType, Engine, EngineExt, Error, GenerateParams,
    GenerateRequest, Logits, LogitsWanted, MemoryReport, Model, ModelInfo, Progress, Result, Run,
    SequenceId, TokenId,
};
use engine_runtime::{EngineSettings, Loaded, TextPipeline, TextSources, spawn_engine};
use futures_executor::block_on;
use serde_json::{Value, json};

use crate::tokenizers::EOS;

/// A vocabulary, and the noise.
pub(crate) struct Noise {
    info: ModelInfo,
    seed: u64,
    /// What is added to each token's logit.
    leaning: Vec<f32>,
    sequences: BTreeMap<SequenceId, Vec<TokenId>>,
    next: u64,
}

/// How the noise is made.
pub(crate) struct Settings<'a> {
    pub(crate) tokenizer: &'a Value,
    pub(crate) seed: u64,
    /// Tokens with such characters in their texts are likelier, so that answers come to an end.
    pub(crate) favoured: &'a str,
}

/// An engine with up to 4 generations at a time.
pub(crate) fn engine(settings: &Settings<'_>) -> Arc<dyn Engine> {
    engine_for_chats(settings, None)
}

/// The same, with a chat template.
pub(crate) fn engine_for_chats(
    settings: &Settings<'_>,
    chat_template: Option<&str>,
) -> Arc<dyn Engine> {
    let config = json!({ "eos_token_id": EOS });
    let sources = TextSources {
        tokenizer_json: &settings.tokenizer.to_string(),
        config: config.as_object(),
        chat_template,
        ..TextSources::default()
    };
    let text = TextPipeline::new(sources).expect("a pipeline");
    let vocab_size = settings.tokenizer["model"]["vocab"]
        .as_object()
        .expect("a vocabulary")
        .len();
    let leaning = (0..vocab_size as TokenId)
        .map(|token| {
            let piece = text.decode(&[token]).expect("text");
            let favoured = piece.contains(|c| settings.favoured.contains(c));
            if favoured || token == EOS { 3.0 } else { 0.0 }
        })
        .collect();
    let model = Noise {
        info: ModelInfo {
            backend: BackendInfo {
                name: "noise".to_owned(),
                version: "1".to_owned(),
                simulated: true,
            },
            architecture: "noise".to_owned(),
            vocab_size,
            context_length: 4096,
            device: "none".to_owned(),
            compute: ComputeType::F32,
            quantization: None,
            weight_bytes: 0,
        },
        seed: settings.seed,
        leaning,
        sequences: BTreeMap::new(),
        next: 0,
    };
    let settings = EngineSettings {
        prompt_cache_bytes: None,
        embedding: None,
        name: "noise".to_owned(),
        path: None,
        prefill_chunk: 64,
        max_concurrent: 4,
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
    block_on(load).expect("an engine")
}

/// The answer to a fixed prompt.
pub(crate) fn answer(engine: &dyn Engine, params: GenerateParams) -> Result<Completion> {
    block_on(engine.complete(GenerateRequest::tokens([0]).with_params(params)))
}

impl Noise {
    fn sequence(&mut self, id: SequenceId) -> Result<&mut Vec<TokenId>> {
        let unknown = Error::UnknownSequence { id: id.get() };
        self.sequences.get_mut(&id).ok_or(unknown)
    }

    fn row(&self, tokens: &[TokenId]) -> Vec<f32> {
        let mut state = tokens.iter().fold(self.seed, |state, token| {
            mix(state ^ u64::from(*token).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        });
        let noise = self.leaning.iter().map(|leaning| {
            state = mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
            leaning + (state >> 40) as f32 / (1 << 24) as f32 * 6.0
        });
        noise.collect()
    }
}

/// The finalizer of `SplitMix64`.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

impl Model for Noise {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        let id = SequenceId::new(self.next);
        self.next += 1;
        self.sequences.insert(id, Vec::new());
        Ok(id)
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        let unknown = Error::UnknownSequence { id: sequence.get() };
        self.sequences.get(&sequence).map(Vec::len).ok_or(unknown)
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        logits.reset(self.info.vocab_size);
        for run in runs {
            self.sequence(run.sequence)?.extend_from_slice(run.tokens);
            let rows = match run.logits {
                LogitsWanted::None => Vec::new(),
                _ => self.row(&self.sequences[&run.sequence]),
            };
            logits.push_run(&rows);
        }
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        self.sequence(sequence)?.truncate(len);
        Ok(())
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let copy = self.sequence(sequence)?.clone();
        let id = self.open()?;
        self.sequences.insert(id, copy);
        Ok(id)
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        self.sequence(sequence)?;
        self.sequences.remove(&sequence);
        Ok(())
    }

    fn memory(&self) -> MemoryReport {
        MemoryReport::default()
    }

    fn trim(&mut self) -> Result<()> {
        Ok(())
    }
}
