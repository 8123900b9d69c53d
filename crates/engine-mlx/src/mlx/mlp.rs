//! The gated feed-forward layer.

use mlx_rs::{Array, ops::sigmoid};

use super::{exception::MlxResult, linear::Linear};

/// `down(silu(gate(x)) * up(x))` (Shazeer, 2020).
#[derive(Debug)]
pub(super) struct Mlp {
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl Mlp {
    /// `[rows, hidden_size]` to the same.
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        let gate = self.gate.forward(x)?;
        let gate = gate.multiply(sigmoid(&gate)?)?;
        self.down.forward(&gate.multiply(self.up.forward(x)?)?)
    }
}
