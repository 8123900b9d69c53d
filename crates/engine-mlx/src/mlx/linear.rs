//! Multiplication with a matrix of weights, plain or quantized.

use mlx_rs::{
    Array,
    ops::{addmm, matmul},
};

use super::{
    affine::{Affine, CpuAffine},
    exception::MlxResult,
};

/// A matrix `[outputs, inputs]`.
#[derive(Debug)]
pub(super) enum Matrix {
    /// Numbers of the compute type.
    Plain {
        /// The matrix as a view of shape `[inputs, outputs]`.
        transposed: Array,
    },
    /// Packed.
    Affine {
        matrix: Affine,
        /// How to multiply where the processor computes.
        on_cpu: Option<CpuAffine>,
    },
}

impl Matrix {
    /// `x` `[rows, inputs]` times the transposed matrix: `[rows, outputs]`.
    pub(super) fn multiply(&self, x: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain { transposed } => matmul(x, transposed),
            Self::Affine {
                on_cpu: Some(on_cpu),
                ..
            } => on_cpu.multiply(x),
            Self::Affine { matrix, .. } => matrix.multiply(x),
        }
    }

    /// The rows of `tokens` `[count]`: `[count, inputs]`.
    pub(super) fn take_rows(&self, tokens: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain { transposed } => transposed.transpose()?.take_axis(tokens, 0),
            Self::Affine { matrix, .. } => matrix.take_rows(tokens),
        }
    }
}

/// A linear layer.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) matrix: Matrix,
    /// `[outputs]`.
    pub(super) bias: Option<Array>,
}

impl Linear {
    /// `[rows, inputs]` to `[rows, outputs]`.
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        match (&self.matrix, &self.bias) {
            (matrix, None) => matrix.multiply(x),
            (Matrix::Plain { transposed }, Some(bias)) => addmm(bias, x, transposed, None, None),
            (matrix, Some(bias)) => matrix.multiply(x)?.add(bias),
        }
    }
}
