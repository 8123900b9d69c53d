//! A loaded model: sequences of tokens in, logits out.

mod embed;

use engine_core::{
    Error, Logits, MemoryReport, Model, ModelInfo, Pooling, Result, Run, SequenceId, SequenceState,
    TokenId,
};

use crate::{
    batch::{check, wanted_rows},
    decoder::{Decoder, Machine, Part, Rows, Workspace},
    kernels::Kernels,
    parallel::Pool,
    sequences::{Sequence, Sequences},
};

/// Rows that go through the layers together: more take more memory, and are no faster.
const MOST_ROWS: usize = 256;
/// Rows whose logits are computed together.
const MOST_LOGIT_ROWS: usize = 32;

/// A model on the processor.
///
/// [`CpuBackend`](crate::CpuBackend) makes an engine of one; by itself it serves those who bring a
/// scheduler of their own, and tests.
#[derive(Debug)]
pub struct CpuModel {
    info: ModelInfo,
    decoder: Decoder,
    sequences: Sequences,
    kernels: &'static dyn Kernels,
    pool: Pool,
    workspace: Workspace,
}

/// What loading found out.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) info: ModelInfo,
    pub(crate) decoder: Decoder,
    pub(crate) sequences: Sequences,
    pub(crate) kernels: &'static dyn Kernels,
    pub(crate) pool: Pool,
}

/// A sequence of a batch, taken out of the others, and its run.
struct Active<'r> {
    id: SequenceId,
    sequence: Sequence,
    run: Run<'r>,
    /// Tokens of the run that have been computed.
    done: usize,
}

impl CpuModel {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            info,
            decoder,
            sequences,
            kernels,
            pool,
        } = parts;
        Self {
            info,
            decoder,
            sequences,
            kernels,
            workspace: Workspace::new(pool.threads()),
            pool,
        }
    }

    /// Threads that compute, the calling one included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Takes the sequences of a batch out, with room for what they will gain.
    fn activate<'r>(&mut self, runs: &[Run<'r>]) -> Result<Vec<Active<'r>>> {
        let shape = self.sequences.shape();
        let mut active = Vec::with_capacity(runs.len());
        let mut failed = None;
        for run in runs {
            let mut sequence = self.sequences.take(run.sequence)?;
            let reserved = match failed {
                None => sequence.reserve(run.tokens.len(), shape),
                Some(_) => Ok(()),
            };
            failed = failed.or(reserved.err());
            active.push(Active {
                id: run.sequence,
                sequence,
                run: *run,
                done: 0,
            });
        }
        match failed {
            None => Ok(active),
            Some(error) => {
                self.put_back(active);
                Err(error)
            }
        }
    }

    fn put_back(&mut self, active: Vec<Active<'_>>) {
        for mut active in active {
            active.sequence.release_unused();
            self.sequences.put_back(active.id, active.sequence);
        }
    }

    /// Computes the batch, [`MOST_ROWS`] rows at a time, and writes the wanted logits one behind
    /// the other.
    fn compute(&mut self, active: &mut [Active<'_>], mut logits: &mut [f32]) {
        loop {
            let mut tokens: Vec<TokenId> = Vec::new();
            let mut parts = Vec::new();
            let mut wanted = Vec::new();
            for active in &mut *active {
                let left = &active.run.tokens[active.done..];
                let count = left.len().min(MOST_ROWS - tokens.len());
                if count == 0 {
                    continue;
                }
                let rows = Rows {
                    first: tokens.len(),
                    count,
                    position: active.sequence.len + active.done,
                };
                tokens.extend(&left[..count]);
                active.done += count;
                let not_wanted = active.run.tokens.len() - wanted_rows(&active.run);
                let first_wanted = not_wanted.saturating_sub(active.done - count);
                wanted.extend((first_wanted..count).map(|row| rows.first + row));
                parts.push(Part {
                    sequence: &mut active.sequence,
                    rows,
                });
            }
            if tokens.is_empty() {
                return;
            }
            let mut machine = Machine {
                kernels: self.kernels,
                pool: &mut self.pool,
                workspace: &mut self.workspace,
            };
            self.decoder.step(&mut machine, &tokens, &mut parts);
            for rows in wanted.chunks(MOST_LOGIT_ROWS) {
                let (some, others) = logits.split_at_mut(rows.len() * self.info.vocab_size);
                self.decoder.logits(&mut machine, rows, some);
                logits = others;
            }
        }
    }
}

impl Model for CpuModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open(&mut self) -> Result<SequenceId> {
        Ok(self.sequences.open())
    }

    fn sequence_len(&self, sequence: SequenceId) -> Result<usize> {
        Ok(self.sequences.get(sequence)?.len)
    }

    fn forward(&mut self, runs: &[Run<'_>], logits: &mut Logits) -> Result<()> {
        check(
            runs,
            &self.sequences,
            self.info.vocab_size,
            self.info.context_length,
        )?;
        let mut active = self.activate(runs)?;
        logits.reset(self.info.vocab_size);
        let rows = logits.add_runs(runs.iter().map(wanted_rows));
        self.compute(&mut active, rows);
        for active in &mut active {
            active.sequence.len += active.run.tokens.len();
        }
        self.put_back(active);
        Ok(())
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        self.sequences.truncate(sequence, len)
    }

    fn can_truncate(&self) -> bool {
        self.sequences.keep_everything(self.info.context_length)
    }

    fn earliest_cut(&self, sequence: SequenceId) -> Result<usize> {
        Ok(self.sequences.get(sequence)?.earliest_cut())
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        self.sequences.fork(sequence)
    }

    fn close(&mut self, sequence: SequenceId) -> Result<()> {
        self.sequences.close(sequence)
    }

    fn memory(&self) -> MemoryReport {
        let mut report = MemoryReport::default();
        report.weight_bytes = self.info.weight_bytes;
        report.kv_bytes = self.sequences.bytes();
        report.sequences = self.sequences.count() as u32;
        report
    }

    fn kv_bytes_of(&self, sequences: &[SequenceId]) -> u64 {
        self.sequences.bytes_of(sequences)
    }

    fn export(&mut self, sequence: SequenceId) -> Result<SequenceState> {
        self.sequences.export(sequence)
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
        self.sequences.import(state)
    }

    fn embed(&mut self, texts: &[&[TokenId]], pooling: Pooling) -> Result<Vec<Vec<f32>>> {
        self.embed_texts(texts, pooling)
    }

    fn trim(&mut self) -> Result<()> {
        self.workspace = Workspace::new(self.pool.threads());
        Ok(())
    }
}
