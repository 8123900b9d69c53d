//! The whole decoder: tokens in, hidden states and logits out.

use mlx_rs::Array;

use super::{
    attention::{PaddingArrays, Part},
    block::Block,
    embedding::Embedding,
    exception::MlxResult,
    kv_cache::KvCache,
    linear::Linear,
    norm::RmsNorm,
};

/// A part of a batch with caches of its own: a sequence, or several that go in step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a, C> {
    /// Sequences, at least one.
    pub(super) sequences: usize,
    /// Rows of each, at least one.
    pub(super) rows: usize,
    /// Positions that the caches hold.
    pub(super) len: usize,
    /// What of them does not count, for sequences of different lengths.
    pub(super) padding: Option<&'a PaddingArrays>,
    /// One cache for each layer.
    pub(super) caches: &'a [C],
}

/// The caches of a run, one for each layer.
pub(super) type Caches<C> = Vec<C>;

/// A stack of blocks between an embedding and a head.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) embedding: Embedding,
    pub(super) blocks: Vec<Block>,
    pub(super) norm: RmsNorm,
    /// `None` if the embedding's matrix is the head's too.
    pub(super) head: Option<Linear>,
}

impl Decoder {
    /// Positions that a token sees in each layer, itself included; all if `None`.
    pub(super) fn windows(&self) -> Vec<Option<usize>> {
        let blocks = self.blocks.iter();
        blocks.map(|block| block.attention.window).collect()
    }

    /// Tokens `[rows]` of all runs, one behind the other, to hidden states `[rows, hidden_size]`,
    /// and each run's caches with the new positions.
    pub(super) fn hidden<C: KvCache>(
        &self,
        tokens: &Array,
        runs: &[Run<'_, C>],
    ) -> MlxResult<(Array, Vec<Caches<C>>)> {
        let mut x = self.embedding.forward(tokens)?;
        let mut caches: Vec<Caches<C>> = runs
            .iter()
            .map(|_| Vec::with_capacity(self.blocks.len()))
            .collect();
        for (layer, block) in self.blocks.iter().enumerate() {
            let parts: Vec<_> = runs
                .iter()
                .map(|run| Part {
                    sequences: run.sequences as i32,
                    rows: run.rows as i32,
                    len: run.len,
                    padding: run.padding,
                    cache: &run.caches[layer],
                })
                .collect();
            let (out, of_layer) = block.forward(&x, &parts)?;
            x = out;
            for (caches, cache) in caches.iter_mut().zip(of_layer) {
                caches.push(cache);
            }
        }
        Ok((x, caches))
    }

    /// Hidden states behind the final norm.
    pub(super) fn states(&self, hidden: &Array) -> MlxResult<Array> {
        self.norm.forward(hidden)
    }

    /// Hidden states `[rows, hidden_size]` to logits `[rows, vocab_size]`.
    pub(super) fn logits(&self, hidden: &Array) -> MlxResult<Array> {
        let hidden = self.states(hidden)?;
        match &self.head {
            Some(head) => head.forward(&hidden),
            None => self.embedding.as_linear(&hidden),
        }
    }
}
