//! A sparse mixture of experts.

use mlx_rs::{
    Array,
    ops::{
        argpartition_axis, argsort, argsort_axis, concatenate, gather_mm, gather_qmm, softmax_axis,
    },
};

use super::{
    affine::Affine, exception::MlxResult, linear::Linear, mlp::gated, slices, swiglu::Swiglu,
};

/// From this many pairs of row and expert on, sorting them by expert pays: each expert's rows are
/// then multiplied together.
const SORT_FROM: usize = 64;

/// Matrices of all experts, `[experts, outputs, inputs]`.
#[derive(Debug)]
pub(super) enum ExpertMatrices {
    /// Numbers of the compute type.
    Plain {
        /// As a view of shape `[experts, inputs, outputs]`.
        transposed: Array,
    },
    /// Packed.
    Affine(Affine),
}

impl ExpertMatrices {
    /// `x` `[pairs, 1, inputs]`, or anything that broadcasts to it, times the matrices of `experts`
    /// `[pairs]`: `[pairs, 1, outputs]`.
    fn multiply(&self, x: &Array, experts: &Array, sorted: bool) -> MlxResult<Array> {
        match self {
            Self::Plain { transposed } => gather_mm(x, transposed, None, experts, sorted),
            Self::Affine(matrix) => gather_qmm(
                x,
                &matrix.packed,
                &matrix.scales,
                &matrix.biases,
                None,
                experts,
                true,
                matrix.group_size,
                matrix.bits,
                sorted,
            ),
        }
    }

    /// All outputs of both; `None` if they are not of one form.
    fn join(&self, other: &Self) -> MlxResult<Option<Self>> {
        match (self, other) {
            (Self::Plain { transposed: one }, Self::Plain { transposed: two }) => {
                let rows = [one, two].map(|matrices| matrices.transpose_axes(&[0, 2, 1]));
                let [one, two] = rows;
                let joined = concatenate(&[one?, two?], 1)?;
                joined.eval()?;
                let transposed = joined.transpose_axes(&[0, 2, 1])?;
                Ok(Some(Self::Plain { transposed }))
            }
            (Self::Affine(one), Self::Affine(two)) => {
                Ok(Affine::join(&[one, two], 1)?.map(Self::Affine))
            }
            _ => Ok(None),
        }
    }
}

/// Gates and ups of all experts.
#[derive(Debug)]
enum GateAndUp {
    Joined(ExpertMatrices),
    Separate(ExpertMatrices, ExpertMatrices),
}

/// What a mixture is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) router: Linear,
    pub(super) gate: ExpertMatrices,
    pub(super) up: ExpertMatrices,
    pub(super) down: ExpertMatrices,
    /// Experts that a token goes to.
    pub(super) per_token: i32,
    /// Whether the weights of a token's experts are divided by their sum.
    pub(super) normalized: bool,
    pub(super) swiglu: Swiglu,
}

/// Experts, of which each token goes through a few.
#[derive(Debug)]
pub(super) struct Experts {
    router: Linear,
    gate_and_up: GateAndUp,
    down: ExpertMatrices,
    per_token: i32,
    normalized: bool,
    swiglu: Swiglu,
}

impl Experts {
    pub(super) fn new(parts: Parts) -> MlxResult<Self> {
        let gate_and_up = match parts.gate.join(&parts.up)? {
            Some(joined) => GateAndUp::Joined(joined),
            None => GateAndUp::Separate(parts.gate, parts.up),
        };
        Ok(Self {
            router: parts.router,
            gate_and_up,
            down: parts.down,
            per_token: parts.per_token,
            normalized: parts.normalized,
            swiglu: parts.swiglu,
        })
    }

    /// `[rows, hidden_size]` to the same.
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        let (rows, hidden) = (x.dim(0), x.dim(1));
        let (experts, weights) = self.route(x)?;
        let pairs = experts.reshape(&[-1])?;
        let out = if pairs.size() < SORT_FROM {
            // Each row's experts share the row by broadcasting.
            let x = x.reshape(&[rows, 1, 1, hidden])?;
            self.through(&x, &experts, false)?
        } else {
            let order = argsort(&pairs)?;
            let row_of = order.floor_divide(Array::from_slice(&[self.per_token as u32], &[1]))?;
            let x = x.take_axis(&row_of, 0)?.reshape(&[-1, 1, hidden])?;
            let sorted = self.through(&x, &pairs.take_axis(&order, 0)?, true)?;
            let back = argsort_axis(&order, 0)?;
            sorted.take_axis(&back, 0)?
        };
        let out = out.reshape(&[rows, self.per_token, hidden])?;
        let weights = weights.reshape(&[rows, self.per_token, 1])?;
        out.multiply(weights)?
            .sum_axis(-2, false)?
            .as_dtype(x.dtype())
    }

    /// The experts of each row and their weights, both `[rows, per_token]`.
    fn route(&self, x: &Array) -> MlxResult<(Array, Array)> {
        let probabilities = softmax_axis(self.router.forward(x)?, -1, true)?;
        let count = probabilities.dim(-1);
        let ordered = argpartition_axis(&probabilities, -self.per_token, -1)?;
        let experts = slices::last(&ordered, count - self.per_token..count)?;
        let weights = probabilities.take_along_axis(&experts, -1)?;
        if self.normalized {
            let sum = weights.sum_axis(-1, true)?;
            return Ok((experts, weights.divide(sum)?));
        }
        Ok((experts, weights))
    }

    fn through(&self, x: &Array, experts: &Array, sorted: bool) -> MlxResult<Array> {
        let inner = match &self.gate_and_up {
            GateAndUp::Joined(both) => gated(&self.swiglu, &both.multiply(x, experts, sorted)?)?,
            GateAndUp::Separate(gate, up) => self.swiglu.forward(
                &gate.multiply(x, experts, sorted)?,
                &up.multiply(x, experts, sorted)?,
            )?,
        };
        self.down.multiply(&inner, experts, sorted)
    }
}
