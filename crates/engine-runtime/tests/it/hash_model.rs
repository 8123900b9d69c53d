//! A model whose every logit depends on every token before it, so that nothing that a cache could
//! do wrong stays unseen; and what can be wrong with a model.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use engine_core::{
    BackendInfo, ComputeType, Engine, Error, Field, Logits, LogitsWanted, MemoryReport, Model,
    ModelInfo, Progress, Result, Run, SequenceId, SequenceState, StateTensor, StateType, TokenId,
};
use engine_runtime::{EngineSettings, Loaded, TextPipeline, TextSources, spawn_engine};

pub(crate) const VOCABULARY: usize = 16;
/// Ends an answer, and a message in a prompt.
pub(crate) const END: TokenId = 15;
pub(crate) const CONTEXT: usize = 400;
pub(crate) const BYTES_OF_A_TOKEN: u64 = 10;

/// What a model is like.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) seed: u64,
    pub(crate) cuts: Cuts,
    pub(crate) exports: bool,
    /// Tokens that all sequences may hold together.
    pub(crate) room: usize,
    pub(crate) budget: Option<u64>,
    pub(crate) prefill_chunk: usize,
    pub(crate) flaw: Option<Flaw>,
    /// Tokens that were appended to any sequence.
    pub(crate) read: Arc<AtomicUsize>,
}

/// Where sequences can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cuts {
    Anywhere,
    /// By less than this many tokens from the longest that the sequence has been.
    Within(usize),
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    ForksAreEmpty,
    CutsDoNothing,
    ForksFail,
    /// Steps on a forked sequence fail.
    ForksAreLost,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            seed: 1,
            cuts: Cuts::Anywhere,
            exports: true,
            room: usize::MAX,
            budget: None,
            prefill_chunk: 8,
            flaw: None,
            read: Arc::default(),
        }
    }
}

impl Kind {
    /// Tokens read since this was asked last.
    pub(crate) fn tokens_read(&self) -> usize {
        self.read.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        let kind = self.clone();
        let loading = spawn_engine(
            move |_| {
                Ok(Loaded {
                    text: text()?,
                    settings: EngineSettings {
                        name: "hash".to_owned(),
                        path: None,
                        prefill_chunk: kind.prefill_chunk,
                        max_concurrent: 3,
                        prompt_cache_bytes: kind.budget,
                        embedding: None,
                    },
                    model: HashModel::new(kind),
                })
            },
            Progress::silent(),
        );
        futures_executor::block_on(loading).expect("a sound model")
    }

    /// The greedy answer by the definition, the token that ends it left out.
    pub(crate) fn answer(&self, prompt: &[TokenId], most: usize) -> Vec<TokenId> {
        let mut tokens = prompt.to_vec();
        for _ in 0..most {
            match next(self.seed, &tokens) {
                END => break,
                token => tokens.push(token),
            }
        }
        tokens.split_off(prompt.len())
    }
}

fn next(seed: u64, tokens: &[TokenId]) -> TokenId {
    let hash = tokens.iter().fold(seed, |hash, token| {
        (hash ^ u64::from(*token + 1))
            .wrapping_mul(0x0000_0100_0000_01B3)
            .rotate_left(17)
    });
    (hash % VOCABULARY as u64) as TokenId
}

fn text() -> Result<TextPipeline> {
    let vocabulary: serde_json::Map<_, _> = (0..VOCABULARY)
        .map(|id| (format!("w{id}"), id.into()))
        .collect();
    let tokenizer = serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "w0" },
    });
    TextPipeline::new(TextSources {
        tokenizer_json: &tokenizer.to_string(),
        config: serde_json::json!({ "eos_token_id": END }).as_object(),
        ..TextSources::default()
    })
}

#[derive(Clone, Default)]
struct Held {
    tokens: Vec<TokenId>,
    longest: usize,
}

struct HashModel {
    kind: Kind,
    info: ModelInfo,
    sequences: HashMap<SequenceId, Held>,
    lost: Vec<SequenceId>,
    opened: u64,
}

impl HashModel {
    fn new(kind: Kind) -> Self {
        Self {
            info: ModelInfo {
                backend: BackendInfo {
                    name: "hash".to_owned(),
                    version: "1".to_owned(),
                    simulated: true,
                },
                device: "none".to_owned(),
                architecture: "hash".to_owned(),
                vocab_size: VOCABULARY,
                context_length: CONTEXT,
                compute: ComputeType::F32,
                quantization: None,
                weight_bytes: 0,
            },
            kind,
            sequences: HashMap::new(),
            lost: Vec::new(),
            opened: 0,
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.kind.flaw == Some(flaw)
    }

    fn insert(&mut self, held: Held) -> SequenceId {
        self.opened += 1;
        let id = SequenceId::new(self.opened);
        self.sequences.insert(id, held);
        id
    }

    fn tokens(&self, id: SequenceId) -> Result<&Vec<TokenId>> {
        Ok(&self.sequence(id)?.tokens)
    }

    fn sequence(&self, id: SequenceId) -> Result<&Held> {
        self.sequences
            .get(&id)
            .ok_or(Error::UnknownSequence { id: id.get() })
    }

    fn held(&self) -> usize {
        self.sequences.values().map(|held| held.tokens.len()).sum()
    }

    fn failed(&self, reason: &str) -> Error {
        Error::backend(&self.info.backend.name, "run", reason.to_owned())
    }
}

impl Model for HashModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        Ok(self.insert(Held::default()))
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        Ok(self.tokens(sequence)?.len())
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        let more: usize = runs.iter().map(|run| run.tokens.len()).sum();
        if self.held() + more > self.kind.room {
            return Err(Error::OutOfMemory {
                purpose: "a step".to_owned(),
                reason: format!("{} tokens are held", self.held()),
            });
        }
        if runs.iter().any(|run| self.lost.contains(&run.sequence)) {
            return Err(self.failed("the sequence is lost"));
        }
        logits.reset(VOCABULARY);
        self.kind.read.fetch_add(more, Ordering::SeqCst);
        for run in runs {
            let mut rows = Vec::new();
            for (index, token) in run.tokens.iter().enumerate() {
                let seed = self.kind.seed;
                let Some(held) = self.sequences.get_mut(&run.sequence) else {
                    return Err(self.failed("no such sequence"));
                };
                let tokens = &mut held.tokens;
                tokens.push(*token);
                held.longest = held.longest.max(tokens.len());
                let wanted = match run.logits {
                    LogitsWanted::None => false,
                    LogitsWanted::Last => index + 1 == run.tokens.len(),
                    _ => true,
                };
                if wanted {
                    let mut row = [0.0; VOCABULARY];
                    row[next(seed, tokens) as usize] = 1.0;
                    rows.extend(row);
                }
            }
            logits.push_run(&rows);
        }
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        let earliest = self.earliest_cut(sequence)?;
        if len != 0 && len < earliest {
            return Err(Error::CutTooFar { len, earliest });
        }
        if !self.has(Flaw::CutsDoNothing)
            && let Some(held) = self.sequences.get_mut(&sequence)
        {
            held.tokens.truncate(len);
        }
        Ok(())
    }

    fn can_truncate(&self) -> bool {
        self.kind.cuts == Cuts::Anywhere
    }

    fn earliest_cut(&self, sequence: SequenceId) -> Result<usize> {
        let held = self.sequence(sequence)?;
        Ok(match self.kind.cuts {
            Cuts::Anywhere => 0,
            Cuts::Within(few) => (held.longest + 1).saturating_sub(few),
            Cuts::Nowhere => held.tokens.len(),
        })
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let held = self.sequence(sequence)?.clone();
        match self.kind.flaw {
            Some(Flaw::ForksAreEmpty) => Ok(self.insert(Held::default())),
            Some(Flaw::ForksFail) => Err(self.failed("it can't fork")),
            Some(Flaw::ForksAreLost) => {
                let copy = self.insert(held);
                self.lost.push(copy);
                Ok(copy)
            }
            _ => Ok(self.insert(held)),
        }
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        self.tokens(sequence)?;
        self.sequences.remove(&sequence);
        Ok(())
    }

    fn kv_bytes_of(&self, sequences: &[SequenceId]) -> u64 {
        let tokens = sequences.iter().filter_map(|id| self.sequences.get(id));
        tokens
            .map(|held| held.tokens.len() as u64 * BYTES_OF_A_TOKEN)
            .sum()
    }

    fn export(&mut self, sequence: SequenceId) -> Result<SequenceState> {
        if !self.kind.exports {
            return Err(Error::Unsupported {
                backend: "hash".to_owned(),
                field: Field::PromptCache,
            });
        }
        let tokens = self.tokens(sequence)?;
        Ok(SequenceState {
            len: tokens.len(),
            tensors: vec![StateTensor {
                name: "all".to_owned(),
                dtype: StateType::U32,
                shape: vec![tokens.len()],
                data: tokens
                    .iter()
                    .flat_map(|token| token.to_le_bytes())
                    .collect(),
            }],
        })
    }

    fn import(&mut self, state: &SequenceState) -> Result<SequenceId> {
        let tensor = state
            .tensor("all", StateType::U32, &[state.len])
            .ok_or_else(|| Error::InvalidState {
                reason: "no tokens".to_owned(),
            })?;
        let (tokens, _) = tensor.data.as_chunks::<4>();
        let tokens = tokens.iter().map(|token| u32::from_le_bytes(*token));
        Ok(self.insert(Held {
            tokens: tokens.collect(),
            longest: state.len,
        }))
    }

    fn memory(&self) -> MemoryReport {
        let mut report = MemoryReport::default();
        report.sequences = self.sequences.len() as u32;
        report.kv_bytes = self.held() as u64 * BYTES_OF_A_TOKEN;
        report
    }

    fn trim(&mut self) -> Result<()> {
        Ok(())
    }
}
