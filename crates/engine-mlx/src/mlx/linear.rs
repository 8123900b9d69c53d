//! Multiplication with a matrix of weights, plain or quantized.

use mlx_rs::{
    Array,
    ops::{addmm, concatenate, matmul},
};

use super::{
    affine::{Affine, Product},
    device::Device,
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
    Affine { matrix: Affine, product: Product },
}

impl Matrix {
    /// A packed matrix, before it is prepared for its device.
    pub(super) fn affine(matrix: Affine) -> Self {
        Self::Affine {
            matrix,
            product: Product::Fused,
        }
    }

    /// The matrix, with what the device needs to multiply with it.
    pub(super) fn prepared(self, device: &Device) -> MlxResult<Self> {
        match self {
            Self::Affine { matrix, .. } => {
                let product = Product::on(device, &matrix)?;
                Ok(Self::Affine { matrix, product })
            }
            plain @ Self::Plain { .. } => Ok(plain),
        }
    }

    /// `x` `[rows, inputs]` times the transposed matrix: `[rows, outputs]`.
    pub(super) fn multiply(&self, x: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain { transposed } => matmul(x, transposed),
            Self::Affine { matrix, product } => product.of(matrix, x),
        }
    }

    /// The rows of `tokens` `[count]`: `[count, inputs]`.
    pub(super) fn take_rows(&self, tokens: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain { transposed } => transposed.transpose()?.take_axis(tokens, 0),
            Self::Affine { matrix, .. } => matrix.take_rows(tokens),
        }
    }

    /// All outputs of the matrices as one; `None` if they are not of one form.
    fn join(matrices: &[&Self]) -> MlxResult<Option<Self>> {
        if let Some(plain) = matrices
            .iter()
            .map(|matrix| match matrix {
                Self::Plain { transposed } => Some(transposed.transpose()),
                Self::Affine { .. } => None,
            })
            .collect::<Option<MlxResult<Vec<_>>>>()
        {
            let joined = concatenate(&plain?, 0)?;
            joined.eval()?;
            let transposed = joined.transpose()?;
            return Ok(Some(Self::Plain { transposed }));
        }
        let packed: Option<Vec<_>> = matrices
            .iter()
            .map(|matrix| match matrix {
                Self::Affine { matrix, .. } => Some(matrix),
                Self::Plain { .. } => None,
            })
            .collect();
        match packed {
            Some(packed) => Ok(Affine::join(&packed, 0)?.map(Self::affine)),
            None => Ok(None),
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
    /// The layer, with what the device needs to compute it.
    pub(super) fn prepared(self, device: &Device) -> MlxResult<Self> {
        Ok(Self {
            matrix: self.matrix.prepared(device)?,
            bias: self.bias,
        })
    }

    /// `[rows, inputs]` to `[rows, outputs]`.
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        match (&self.matrix, &self.bias) {
            (matrix, None) => matrix.multiply(x),
            (Matrix::Plain { transposed }, Some(bias)) => addmm(bias, x, transposed, None, None),
            (matrix, Some(bias)) => matrix.multiply(x)?.add(bias),
        }
    }

    /// One layer with the outputs of all; `None` if their weights are not of one form.
    pub(super) fn join(linears: &[Self]) -> MlxResult<Option<Self>> {
        let biases: Vec<&Array> = linears.iter().filter_map(|l| l.bias.as_ref()).collect();
        let bias = match biases.len() {
            0 => None,
            all if all == linears.len() => {
                let joined = concatenate(&biases, 0)?;
                joined.eval()?;
                Some(joined)
            }
            _ => return Ok(None),
        };
        let matrices: Vec<&Matrix> = linears.iter().map(|linear| &linear.matrix).collect();
        Ok(Matrix::join(&matrices)?.map(|matrix| Self { matrix, bias }))
    }
}
