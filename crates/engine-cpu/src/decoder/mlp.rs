//! The feed-forward part of a layer that has one for all tokens.

use std::sync::PoisonError;

use super::{
    Decoder, Dense, Layer, Mlp,
    linear::{Multiplier, multiply, needs},
    step::{Machine, Workspace},
};
use crate::kernels::LANES;

impl Decoder {
    pub(super) fn feed_forward(&self, machine: &mut Machine<'_>, layer: &Layer) {
        match &layer.mlp {
            Mlp::Dense(mlp) => self.dense(machine, layer, mlp),
            Mlp::Experts(experts) => self.experts(machine, layer, experts),
        }
    }

    fn dense(&self, machine: &mut Machine<'_>, layer: &Layer, mlp: &Dense) {
        let Machine {
            kernels,
            pool,
            workspace,
        } = machine;
        let kernels = *kernels;
        let Workspace {
            hidden,
            inputs,
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
                needs(&[&mlp.gate, &mlp.up]).rounded(self.precision.others),
            ),
            |row, out| hidden.copy_row(row, 0, out),
        );
        inner.reset(rows, mlp.gate.matrix.tiles());
        let refs = inputs.refs();
        let by = Multiplier {
            arena: &self.arena,
            kernels,
            inputs: &refs,
            rows,
        };
        let panel = rows * LANES;
        pool.for_chunks(&mut inner.data, panel, usize::MAX, |thread, first, gate| {
            let Some(scratch) = scratch.get(thread) else {
                return;
            };
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            let tiles = first..first + gate.len() / panel;
            let up = &mut scratch.up;
            up.clear();
            up.resize(gate.len(), 0.0);
            gate.fill(0.0);
            mlp.gate.add(&by, tiles.clone(), gate);
            mlp.up.add(&by, tiles, up);
            kernels.silu_mul(gate, up);
        });
        let down = [&mlp.down];
        inputs.prepare(
            pool,
            kernels,
            (rows, mlp.down.matrix.columns),
            (None, needs(&down).rounded(self.precision.others)),
            |row, out| inner.copy_row(row, 0, out),
        );
        multiply(pool, (&self.arena, kernels), &down, inputs, false, hidden);
    }
}
