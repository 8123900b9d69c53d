//! A loaded model: sequences of tokens in, logits out.

mod embed;

use engine_core::{
    DeviceInput, DeviceRun, DeviceToken, Error, Logits, LogitsWanted, MemoryReport, Model,
    ModelInfo, Pooling, Result, Run, SequenceId, SequenceState, TokenId,
};
use mlx_rs::{
    Array,
    ops::{concatenate, indexing::argmax_axis},
    transforms::{async_eval, eval},
};

use super::{
    batch::{Batch, Sizes, ensure_in_vocabulary},
    batch_cache::BatchCache,
    cache_limit::CacheLimit,
    chosen::{Choices, as_inputs},
    decoder::{Caches, Decoder, Run as DecoderRun},
    device::Device,
    exception::{Doing, MlxResult},
    kv_cache::{KvCache, STEP, StepCache},
    memory::{Allocator, PoolRelease, release_pool},
    room::{ensure_room, ensure_within_limit},
    sequences::Sequences,
    slices,
};

/// A model on MLX. It stays on the thread that loaded it.
///
/// [`MlxBackend`](crate::MlxBackend) makes an engine of one; by itself it serves those who bring a
/// scheduler of their own, and tests.
#[derive(Debug)]
pub struct MlxModel {
    info: ModelInfo,
    sizes: Sizes,
    decoder: Decoder,
    sequences: Sequences,
    choices: Choices,
    /// Positions by which sequences have grown since unused memory was last given back.
    since_release: usize,
    cache_limit: Option<CacheLimit>,
    // Behind all that holds memory, which it gives back.
    _pool: PoolRelease,
    // Last: its streams outlive everything that was computed on them.
    device: Device,
}

/// What loading found out.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) info: ModelInfo,
    pub(super) sizes: Sizes,
    pub(super) decoder: Decoder,
    pub(super) cache_limit: Option<CacheLimit>,
    pub(super) device: Device,
}

/// The caches that a step leads to.
enum NewCaches {
    /// Those of the batch that went in step, one for each layer.
    InStep(Caches<StepCache>),
    /// Each run's own.
    Own(Vec<Caches<StepCache>>),
}

/// A step under way.
const STEP_IN_WORDS: &str = "evaluate a step";

impl MlxModel {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            info: parts.info,
            sizes: parts.sizes,
            sequences: Sequences::new(parts.decoder.windows()),
            decoder: parts.decoder,
            choices: Choices::default(),
            since_release: 0,
            cache_limit: parts.cache_limit,
            _pool: PoolRelease,
            device: parts.device,
        }
    }

    /// Whether it computes on the processor.
    pub(super) fn computes_on_cpu(&self) -> bool {
        self.device.is_cpu()
    }

    /// Fails if the batch would not fit into memory.
    fn ensure_room(&self, batch: &Batch) -> Result<()> {
        let caches = batch.cache_bytes(&self.sequences, &self.sizes);
        if self.device.is_cpu() {
            let activations = batch.activation_bytes(&self.sizes);
            return ensure_room("the KV cache and a step", caches + activations);
        }
        // A GPU's attention holds no scores, and most steps need no longer cache.
        match caches {
            0 => Ok(()),
            bytes => ensure_within_limit("the KV cache", bytes),
        }
    }

    /// Builds the batch's hidden states, and the caches that it leads to.
    fn hidden(&mut self, tokens: &Array, batch: &Batch) -> Result<(Array, NewCaches)> {
        if batch.goes_in_step(&self.sizes) {
            let together = self.sequences.gather(&batch.sequences())?;
            let padding = together.padding().doing(STEP_IN_WORDS)?;
            let run = DecoderRun {
                sequences: batch.runs.len(),
                rows: 1,
                len: together.len(),
                padding: Some(&padding),
                caches: together.layers(),
            };
            let (hidden, mut caches) = self.decoder.hidden(tokens, &[run]).doing(STEP_IN_WORDS)?;
            return Ok((hidden, NewCaches::InStep(caches.pop().unwrap_or_default())));
        }
        for run in &batch.runs {
            self.sequences.separate(run.sequence)?;
        }
        let runs = batch
            .runs
            .iter()
            .map(|run| {
                Ok(DecoderRun {
                    sequences: 1,
                    rows: run.rows,
                    len: run.len,
                    padding: None,
                    caches: self.sequences.get(run.sequence)?.caches()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let (hidden, caches) = self.decoder.hidden(tokens, &runs).doing(STEP_IN_WORDS)?;
        Ok((hidden, NewCaches::Own(caches)))
    }

    /// Puts new caches in place of the old ones, evaluates them together with `outputs`, and
    /// counts the new tokens.
    ///
    /// The old caches are let go of before anything is evaluated, so that MLX writes in place.
    fn evaluate(
        &mut self,
        batch: &Batch,
        caches: NewCaches,
        outputs: &[&Array],
        evaluate: impl FnOnce(&[&Array]) -> MlxResult<()>,
    ) -> Result<()> {
        if self.device.is_cpu() {
            // The processor has no queue worth filling, and while the last step runs it holds the
            // caches, which would have to be copied.
            self.device.synchronize().doing(STEP_IN_WORDS)?;
        }
        let mut arrays = outputs.to_vec();
        match caches {
            NewCaches::InStep(caches) => {
                self.sequences.replace_batch(caches);
                let together = self.sequences.batch().map_or(&[][..], BatchCache::layers);
                arrays.extend(together.iter().flat_map(StepCache::arrays));
            }
            NewCaches::Own(caches) => {
                for (run, caches) in batch.runs.iter().zip(caches) {
                    self.sequences.get_mut(run.sequence)?.replace_caches(caches);
                }
                for run in &batch.runs {
                    let caches = self.sequences.get(run.sequence)?.caches()?;
                    arrays.extend(caches.iter().flat_map(StepCache::arrays));
                }
            }
        }
        let evaluated = evaluate(&arrays).doing(STEP_IN_WORDS);
        for run in &batch.runs {
            match evaluated {
                Ok(()) => self.sequences.get_mut(run.sequence)?.extend(run.rows),
                Err(_) => self.sequences.lose_caches(run.sequence),
            }
        }
        evaluated?;
        self.release_now_and_then(batch.longest_run())
    }

    /// As sequences grow, pieces of memory become too small to be used again.
    fn release_now_and_then(&mut self, positions: usize) -> Result<()> {
        self.since_release += positions;
        if self.since_release >= STEP {
            self.since_release = 0;
            return release_pool().doing("give back memory");
        }
        self.keep_cache_limit().doing("give back memory")
    }

    /// A GPU's allocator looks at its limit only when it allocates.
    fn keep_cache_limit(&self) -> MlxResult<()> {
        match &self.cache_limit {
            Some(limit) if limit.is_exceeded()? => release_pool(),
            _ => Ok(()),
        }
    }

    /// The rows of `hidden` whose logits are wanted, run by run; `None` if there are none.
    fn wanted_rows(hidden: &Array, batch: &Batch) -> MlxResult<Option<Array>> {
        let mut pieces = Vec::new();
        let mut end = 0;
        for run in &batch.runs {
            end += run.rows as i32;
            if run.wanted > 0 {
                pieces.push(end - run.wanted as i32..end);
            }
        }
        let all: i32 = pieces.iter().map(|piece| piece.end - piece.start).sum();
        if all == end {
            return Ok(Some(hidden.clone()));
        }
        let mut rows = pieces
            .into_iter()
            .map(|piece| slices::rows(hidden, piece))
            .collect::<MlxResult<Vec<_>>>()?;
        match rows.len() {
            0 => Ok(None),
            1 => Ok(rows.pop()),
            _ => concatenate(&rows, 0).map(Some),
        }
    }

    /// The logits of the wanted rows, as f32.
    fn logits(&self, hidden: &Array, batch: &Batch) -> MlxResult<Option<Array>> {
        Self::wanted_rows(hidden, batch)?
            .map(|rows| self.decoder.logits(&rows)?.as_type::<f32>())
            .transpose()
    }

    fn forward_checked(
        &mut self,
        tokens: &Array,
        batch: &Batch,
        logits: &mut Logits,
    ) -> Result<()> {
        let (hidden, caches) = self.hidden(tokens, batch)?;
        let rows = self.logits(&hidden, batch).doing(STEP_IN_WORDS)?;
        drop(hidden);
        let outputs: Vec<&Array> = rows.iter().collect();
        self.evaluate(batch, caches, &outputs, |arrays| {
            eval(arrays.iter().copied())
        })?;
        logits.reset(self.info.vocab_size);
        let numbers = match &rows {
            Some(rows) => rows.try_as_slice::<f32>().doing("read the logits")?,
            None => &[],
        };
        let mut start = 0;
        for run in &batch.runs {
            let end = start + run.wanted * self.info.vocab_size;
            logits.push_run(&numbers[start..end]);
            start = end;
        }
        Ok(())
    }

    fn step_checked(&mut self, tokens: &Array, batch: &Batch) -> Result<Vec<DeviceToken>> {
        let (hidden, caches) = self.hidden(tokens, batch)?;
        let choose = || {
            let Some(logits) = self.logits(&hidden, batch)? else {
                return Ok(None);
            };
            let chosen = argmax_axis(&logits, -1, false)?;
            MlxResult::Ok(Some((chosen, logits.max_axis(-1, false)?)))
        };
        let Some((chosen, best)) = choose().doing(STEP_IN_WORDS)? else {
            return Ok(Vec::new());
        };
        drop(hidden);
        self.evaluate(batch, caches, &[&chosen, &best], |arrays| {
            async_eval(arrays.iter().copied())
        })?;
        Ok(self.choices.keep(chosen, best, batch.runs.len()))
    }

    /// The inputs of a step as one array: what the host knows, and what the device chose.
    fn inputs(&self, runs: &[DeviceRun<'_>]) -> Result<Array> {
        let mut pieces = Vec::new();
        let mut chosen = Vec::new();
        for run in runs {
            match run.input {
                DeviceInput::Chosen(token) => chosen.push(self.choices.get(token)?),
                DeviceInput::Tokens(tokens) => {
                    if !chosen.is_empty() {
                        pieces.push(as_inputs(&std::mem::take(&mut chosen)).doing(STEP_IN_WORDS)?);
                    }
                    pieces.push(token_array(tokens));
                }
                _ => return Err(self.no_such_input()),
            }
        }
        if !chosen.is_empty() {
            pieces.push(as_inputs(&chosen).doing(STEP_IN_WORDS)?);
        }
        match &pieces[..] {
            [one] => Ok(one.clone()),
            all => concatenate(all, 0).doing(STEP_IN_WORDS),
        }
    }

    fn no_such_input(&self) -> engine_core::Error {
        engine_core::Error::backend(
            self.info.backend.name.clone(),
            STEP_IN_WORDS,
            "the step's input is of a kind that this backend does not know",
        )
    }
}

impl Model for MlxModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        Ok(self.sequences.open())
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        Ok(self.sequences.get(sequence)?.len())
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        let batch = Batch::check(
            runs.iter().map(|run| {
                let rows = run.tokens.len();
                let wanted = match run.logits {
                    LogitsWanted::None => 0,
                    LogitsWanted::Last => rows.min(1),
                    _ => rows,
                };
                (run.sequence, rows, wanted)
            }),
            &self.sequences,
            &self.sizes,
        )?;
        for run in runs {
            ensure_in_vocabulary(run.tokens, self.sizes.vocab)?;
        }
        if runs.is_empty() {
            logits.reset(self.info.vocab_size);
            return Ok(());
        }
        self.ensure_room(&batch)?;
        let tokens: Vec<TokenId> = runs.iter().flat_map(|run| run.tokens).copied().collect();
        let stream = self.device.stream().clone();
        mlx_rs::with_stream(&stream, || {
            self.forward_checked(&token_array(&tokens), &batch, logits)
        })
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        let stream = self.device.stream().clone();
        mlx_rs::with_stream(&stream, || self.sequences.truncate(sequence, len))
    }

    fn can_truncate(&self) -> bool {
        self.sequences.keep_everything(self.info.context_length)
    }

    fn earliest_cut(&self, sequence: SequenceId) -> Result<usize> {
        Ok(self.sequences.get(sequence)?.earliest_cut())
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let stream = self.device.stream().clone();
        mlx_rs::with_stream(&stream, || self.sequences.fork(sequence))
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        self.sequences.close(sequence)
    }

    fn memory(&self) -> MemoryReport {
        let mut report = MemoryReport::default();
        report.weight_bytes = self.info.weight_bytes;
        report.kv_bytes = self.sequences.bytes();
        report.sequences = self.sequences.count() as u32;
        // A GPU lets go of a step's memory after the step, when nobody looks at the limit.
        let _ = self.keep_cache_limit();
        if let Ok(allocator) = Allocator::now() {
            report.pooled_bytes = allocator.pooled;
            report.active_bytes = Some(allocator.active);
            report.peak_bytes = Some(allocator.peak);
        }
        report
    }

    fn kv_bytes_of(&self, sequences: &[SequenceId]) -> u64 {
        self.sequences.bytes_of(sequences)
    }

    fn export(&mut self, sequence: SequenceId) -> Result<SequenceState> {
        let stream = self.device.stream().clone();
        mlx_rs::with_stream(&stream, || self.sequences.export(sequence))
    }

    fn import(&mut self, state: &SequenceState) -> Result<SequenceId> {
        let context = self.info.context_length;
        if state.len > context {
            return Err(Error::InvalidState {
                reason: format!(
                    "it has {} tokens, and the context holds {context}",
                    state.len
                ),
            });
        }
        let bytes = state.tensors.iter().map(|tensor| tensor.data.len() as u64);
        if self.device.is_cpu() {
            // The upload, and the buffers that it goes into.
            ensure_room("the KV cache", 2 * bytes.sum::<u64>())?;
        } else {
            ensure_within_limit("the KV cache", 2 * bytes.sum::<u64>())?;
        }
        let stream = self.device.stream().clone();
        mlx_rs::with_stream(&stream, || self.sequences.import(state, &self.sizes))
    }

    fn embed(&mut self, texts: &[&[TokenId]], pooling: Pooling) -> Result<Vec<Vec<f32>>> {
        let stream = self.device.stream().clone();
        mlx_rs::with_stream(&stream, || self.embed_texts(texts, pooling))
    }

    fn trim(&mut self) -> Result<()> {
        release_pool().doing("give back memory")
    }

    fn chooses_on_device(&self) -> bool {
        true
    }

    fn step_greedy(&mut self, runs: &[DeviceRun<'_>]) -> Result<Vec<DeviceToken>> {
        let batch = Batch::check(
            runs.iter().map(|run| {
                let rows = match run.input {
                    DeviceInput::Tokens(tokens) => tokens.len(),
                    _ => 1,
                };
                (run.sequence, rows, rows.min(1))
            }),
            &self.sequences,
            &self.sizes,
        )?;
        for run in runs {
            if let DeviceInput::Tokens(tokens) = run.input {
                ensure_in_vocabulary(tokens, self.sizes.vocab)?;
            }
        }
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        self.ensure_room(&batch)?;
        let stream = self.device.stream().clone();
        mlx_rs::with_stream(&stream, || {
            let tokens = self.inputs(runs)?;
            self.step_checked(&tokens, &batch)
        })
    }

    fn read_token(&mut self, token: DeviceToken) -> Result<TokenId> {
        self.choices.read(token)
    }

    fn discard_token(&mut self, token: DeviceToken) {
        self.choices.discard(token);
    }
}

impl Drop for MlxModel {
    /// Work that is under way holds memory. What it could fail with nobody waits for.
    fn drop(&mut self) {
        let _ = self.device.synchronize();
    }
}

fn token_array(tokens: &[TokenId]) -> Array {
    Array::from_slice(tokens, &[tokens.len() as i32])
}
