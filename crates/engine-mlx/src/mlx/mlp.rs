//! The gated feed-forward layer.

use mlx_rs::Array;

use super::{
    exception::MlxResult, experts::Experts, linear::Linear, projections::Projections, slices,
    swiglu::Swiglu,
};

/// The feed-forward part of a layer.
#[derive(Debug)]
pub(super) enum Mlp {
    Dense(DenseMlp),
    Experts(Experts),
}

impl Mlp {
    /// `[rows, hidden_size]` to the same.
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        match self {
            Self::Dense(mlp) => mlp.forward(x),
            Self::Experts(experts) => experts.forward(x),
        }
    }
}

/// `down(silu(gate(x)) * up(x))` (<https://arxiv.org/abs/2002.05202>).
#[derive(Debug)]
pub(super) struct DenseMlp {
    /// Gate and up.
    pub(super) gate_and_up: Projections,
    pub(super) down: Linear,
    pub(super) swiglu: Swiglu,
}

impl DenseMlp {
    fn forward(&self, x: &Array) -> MlxResult<Array> {
        let both = self.gate_and_up.forward(x)?;
        self.down.forward(&gated(&self.swiglu, &both)?)
    }
}

/// Gate and up, one behind the other in the last dimension, to their product.
pub(super) fn gated(swiglu: &Swiglu, both: &Array) -> MlxResult<Array> {
    let inner = both.dim(-1) / 2;
    let gate = slices::last(both, 0..inner)?;
    let up = slices::last(both, inner..2 * inner)?;
    swiglu.forward(&gate, &up)
}
