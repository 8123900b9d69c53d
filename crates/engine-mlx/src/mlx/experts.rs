//! A sparse mixture of experts.

use std::{cell::RefCell, rc::Rc};

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

/// From this many pairs for each expert on, CUDA's fused kernel takes longer than to write all
/// matrices as numbers and multiply with those: on an H100 1.3 times as long at 16, 8 times at 128.
const CUDA_DEQUANTIZES_FROM: i32 = 12;

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

/// Pairs of a row and an expert that it goes to.
#[derive(Clone, Copy, Debug)]
enum Pairs<'a> {
    /// Row by row: of each pair the place of its row in `x`, and its expert, both
    /// `[rows, per_token]`.
    ByRow { rows: &'a Array, experts: &'a Array },
    /// Sorted by expert, `[pairs]`; `x` has a row for each.
    ByExpert {
        experts: &'a Array,
        dequantize: bool,
    },
}

impl ExpertMatrices {
    /// The rows of `x` `[.., 1, inputs]` that the pairs name times the matrices of their experts:
    /// `[.., 1, outputs]` with the pairs' dimensions in front.
    fn multiply(&self, x: &Array, pairs: Pairs<'_>) -> MlxResult<Array> {
        let (rows, experts, sorted) = match pairs {
            Pairs::ByRow { rows, experts } => (Some(rows), experts, false),
            Pairs::ByExpert { experts, .. } => (None, experts, true),
        };
        match (self, pairs) {
            (Self::Plain { transposed }, _) => gather_mm(x, transposed, rows, experts, sorted),
            (
                Self::Affine(matrix),
                Pairs::ByExpert {
                    dequantize: true, ..
                },
            ) => {
                let transposed = matrix.dequantize()?.transpose_axes(&[0, 2, 1])?;
                gather_mm(x, transposed, rows, experts, sorted)
            }
            (Self::Affine(matrix), _) => gather_qmm(
                x,
                &matrix.packed,
                &matrix.scales,
                &matrix.biases,
                rows,
                experts,
                true,
                matrix.group_size,
                matrix.bits,
                sorted,
            ),
        }
    }

    fn count(&self) -> i32 {
        match self {
            Self::Plain { transposed } => transposed.dim(0),
            Self::Affine(matrix) => matrix.packed.dim(0),
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
    pub(super) places: Places,
    /// Whether an NVIDIA GPU computes.
    pub(super) on_cuda: bool,
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
    places: Places,
    on_cuda: bool,
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
            places: parts.places,
            on_cuda: parts.on_cuda,
        })
    }

    /// `[rows, hidden_size]` to the same.
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        let (rows, hidden) = (x.dim(0), x.dim(1));
        let (experts, weights) = self.route(x)?;
        let out = if experts.size() < SORT_FROM {
            self.row_by_row(&x.reshape(&[rows, 1, 1, hidden])?, &experts)?
        } else {
            self.expert_by_expert(x, &experts)?
        };
        let out = out.reshape(&[rows, self.per_token, hidden])?;
        let weights = weights.reshape(&[rows, self.per_token, 1])?;
        out.multiply(weights)?
            .sum_axis(-2, false)?
            .as_dtype(x.dtype())
    }

    /// `x` `[rows, 1, 1, hidden_size]` through `experts`: `[rows, per_token, 1, hidden_size]`.
    fn row_by_row(&self, x: &Array, experts: &Array) -> MlxResult<Array> {
        let places = self.places.of(x.dim(0), self.per_token);
        let through = |rows| Pairs::ByRow { rows, experts };
        let inner = self.inner(x, through(&places.of_rows))?;
        self.down.multiply(&inner, through(&places.of_pairs))
    }

    /// `x` `[rows, hidden_size]` through `experts` `[rows, per_token]`: `[pairs, 1, hidden_size]`.
    fn expert_by_expert(&self, x: &Array, experts: &Array) -> MlxResult<Array> {
        let pairs = experts.reshape(&[-1])?;
        let order = argsort(&pairs)?;
        let row_of = order.floor_divide(Array::from_slice(&[self.per_token as u32], &[1]))?;
        let x = x.take_axis(&row_of, 0)?.reshape(&[-1, 1, x.dim(1)])?;
        let sorted = pairs.take_axis(&order, 0)?;
        let each = pairs.dim(0) / self.down.count().max(1);
        let by_expert = Pairs::ByExpert {
            experts: &sorted,
            dequantize: self.on_cuda && each >= CUDA_DEQUANTIZES_FROM,
        };
        let out = self.down.multiply(&self.inner(&x, by_expert)?, by_expert)?;
        out.take_axis(&argsort_axis(&order, 0)?, 0)
    }

    /// The experts of each row and their weights, both `[rows, per_token]`.
    fn route(&self, x: &Array) -> MlxResult<(Array, Array)> {
        let scores = self.router.forward(x)?;
        let count = scores.dim(-1);
        let ordered = argpartition_axis(&scores, -self.per_token, -1)?;
        let experts = slices::last(&ordered, count - self.per_token..count)?;
        // Probabilities that are divided by their sum are those of a softmax over them alone.
        let weights = if self.normalized {
            softmax_axis(scores.take_along_axis(&experts, -1)?, -1, true)?
        } else {
            softmax_axis(&scores, -1, true)?.take_along_axis(&experts, -1)?
        };
        Ok((experts, weights))
    }

    fn inner(&self, x: &Array, pairs: Pairs<'_>) -> MlxResult<Array> {
        match &self.gate_and_up {
            GateAndUp::Joined(both) => gated(&self.swiglu, &both.multiply(x, pairs)?),
            GateAndUp::Separate(gate, up) => self
                .swiglu
                .forward(&gate.multiply(x, pairs)?, &up.multiply(x, pairs)?),
        }
    }
}

/// Places of rows among the inputs of gathered products, for the number of rows that was asked for
/// last.
///
/// MLX would compute them anew for every product. All layers share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Rc<RefCell<Option<PlacesOf>>>);

/// Both `[rows, per_token]`.
#[derive(Clone, Debug)]
struct PlacesOf {
    /// Of an input that has a row for each row.
    of_rows: Array,
    /// Of an input that has a row for each pair.
    of_pairs: Array,
}

impl Places {
    fn of(&self, rows: i32, per_token: i32) -> PlacesOf {
        let mut kept = self.0.borrow_mut();
        let shape = [rows, per_token];
        if let Some(places) = kept.as_ref().filter(|kept| kept.of_rows.shape() == shape) {
            return places.clone();
        }
        let array = |place: fn(u32, u32) -> u32| {
            let pairs = (0..(rows * per_token) as u32).map(|pair| place(pair, per_token as u32));
            Array::from_slice(&pairs.collect::<Vec<_>>(), &shape)
        };
        let places = PlacesOf {
            of_rows: array(|pair, per_token| pair / per_token),
            of_pairs: array(|pair, _| pair),
        };
        kept.insert(places).clone()
    }
}
