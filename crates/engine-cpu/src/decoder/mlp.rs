//! The feed-forward part of a layer that has one for all tokens.

use std::sync::PoisonError;

use super::{
    Decoder, Dense, Layer, Mlp,
    attention::Scratch,
    linear::{Multiplier, Next, multiply, needs},
    step::{Machine, Workspace},
};
use crate::kernels::{BlocksMut, LANES};

impl Decoder {
    pub(super) fn feed_forward(&self, machine: &mut Machine<'_>, index: usize, layer: &Layer) {
        match &layer.mlp {
            Mlp::Dense(mlp) => self.dense(machine, index, layer, mlp),
            Mlp::Experts(experts) => self.experts(machine, layer, experts),
        }
    }

    fn dense(&self, machine: &mut Machine<'_>, index: usize, layer: &Layer, mlp: &Dense) {
        let Machine {
            kernels,
            pool,
            workspace,
        } = machine;
        let kernels = *kernels;
        let Workspace {
            hidden,
            inputs,
            rounded,
            inner,
            scratch,
            ..
        } = workspace;
        let rows = hidden.rows;
        inputs.prepare(
            pool,
            kernels,
            (rows, mlp.gate.matrix.columns),
            (
                Some(&layer.mlp_norm),
                needs(&[&mlp.gate, &mlp.up]).rounded(self.precision.feed_forward),
            ),
            |row, out| hidden.copy_row(row, 0, out),
        );
        let refs = inputs.refs();
        let by = Multiplier {
            arena: &self.arena,
            kernels,
            inputs: &refs,
            rows,
        };
        let panel = rows * LANES;
        let down = [&mlp.down];
        let columns = mlp.down.matrix.columns;
        let needs = needs(&down).rounded(self.precision.feed_forward);
        let threads = pool.threads();
        let next = |thread| Next::InARow(&[&mlp.down.matrix]).ahead(&self.arena, thread, threads);
        if let Some(BlocksMut { form, words }) = rounded.blocks((rows, columns), needs) {
            // Each thread rounds what it computed.
            let tiles = form.block.len() / LANES;
            let words_each = form.block_words();
            let work = |thread: usize, first: usize, words: &mut [u32]| {
                let Some(scratch) = scratch.get(thread) else {
                    return;
                };
                let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
                let Scratch { gate, up, .. } = &mut *scratch;
                gate.resize(words.len() / words_each * tiles * panel, 0.0);
                mlp.inner(&by, first * tiles, gate, up);
                kernels.quantize_panels(gate, &mut BlocksMut { form, words });
            };
            pool.for_chunks_then(words, words_each, usize::MAX, work, next);
        } else {
            inner.reset(rows, mlp.gate.matrix.tiles());
            let work = |thread: usize, first: usize, gate: &mut [f32]| {
                let Some(scratch) = scratch.get(thread) else {
                    return;
                };
                let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
                mlp.inner(&by, first, gate, &mut scratch.up);
            };
            pool.for_chunks_then(&mut inner.data, panel, usize::MAX, work, next);
            rounded.prepare(pool, kernels, (rows, columns), (None, needs), |row, out| {
                inner.copy_row(row, 0, out);
            });
        }
        let next = self.first_of_layer(index + 1);
        multiply(
            pool,
            (&self.arena, kernels),
            &down,
            rounded,
            (false, hidden),
            (&[], Next::InARow(&next)),
        );
    }
}

impl Dense {
    /// `silu(gate(x)) * up(x)` of some tiles, instead of what is in `gate`.
    fn inner(&self, by: &Multiplier<'_>, first: usize, gate: &mut [f32], up: &mut Vec<f32>) {
        let tiles = first..first + gate.len() / (by.rows * LANES);
        up.clear();
        up.resize(gate.len(), 0.0);
        gate.fill(0.0);
        self.gate.add(by, tiles.clone(), gate);
        self.up.add(by, tiles, up);
        by.kernels.silu_mul(gate, up);
    }
}
