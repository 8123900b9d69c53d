//! Matrices of weights, in the layout that the kernels read.

mod affine;
mod numbers;
mod plain;

use std::ops::Range;

use crate::{
    kernels::{Blocks, Kernels, LANES, Offset, Precision, QuantizedRows},
    memory::Arena,
    parallel::Ahead,
};

pub(crate) use affine::{AffineMatrix, AffineSource};
pub(crate) use numbers::{NumberKind, SourceNumbers, StoredNumbers};
pub(crate) use plain::PlainMatrix;

/// A matrix `[rows, columns]`, whose rows lie in tiles of [`LANES`].
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) form: Form,
}

/// How a matrix's weights are stored.
#[derive(Debug)]
pub(crate) enum Form {
    Affine(AffineMatrix),
    Plain(PlainMatrix),
}

/// In which forms a matrix takes the activations that it is multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) plain: bool,
    pub(crate) blocks_of_16: bool,
    pub(crate) blocks_of_32: bool,
    /// How exactly blocks are rounded.
    pub(crate) precision: Precision,
}

impl Needs {
    /// What either needs.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            plain: self.plain || other.plain,
            blocks_of_16: self.blocks_of_16 || other.blocks_of_16,
            blocks_of_32: self.blocks_of_32 || other.blocks_of_32,
            precision: self.precision,
        }
    }

    /// The same, rounded as exactly as this.
    #[must_use]
    pub(crate) const fn rounded(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }
}

impl Matrix {
    /// Tiles, the last one filled up with zeros.
    pub(crate) const fn tiles(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    pub(crate) const fn needs(&self) -> Needs {
        let form = match &self.form {
            Form::Plain(_) => None,
            Form::Affine(affine) => Some(affine.block),
        };
        Needs {
            plain: form.is_none(),
            blocks_of_16: matches!(form, Some(Blocks::Of16)),
            blocks_of_32: matches!(form, Some(Blocks::Of32)),
            precision: Precision::Eight,
        }
    }

    /// Adds the products of some tiles with all rows of `inputs` to `out`, `[tiles, rows, LANES]`.
    pub(crate) fn add_products(
        &self,
        arena: &Arena,
        kernels: &dyn Kernels,
        tiles: Range<usize>,
        inputs: &InputRefs<'_>,
        out: &mut [f32],
    ) {
        match &self.form {
            Form::Affine(matrix) => {
                let rows = match matrix.block {
                    Blocks::Of16 => &inputs.blocks_of_16,
                    Blocks::Of32 => &inputs.blocks_of_32,
                };
                kernels.affine(&matrix.tiles(arena, self.columns, tiles), rows, out);
            }
            Form::Plain(matrix) => {
                let tiles = matrix.tiles(arena, self.columns, tiles);
                kernels.plain(&tiles, &inputs.plain, out);
            }
        }
    }

    /// Adds some tiles to what will be needed soon, as many of the first ones as take about `bytes`.
    /// Returns how many of those are left over.
    pub(crate) fn ahead(
        &self,
        arena: &Arena,
        tiles: Range<usize>,
        bytes: usize,
        ahead: &mut Ahead,
    ) -> usize {
        let parts = match &self.form {
            Form::Affine(matrix) => {
                let tiles = matrix.tiles(arena, self.columns, tiles);
                let biases = match &tiles.offset {
                    Offset::Biases(biases) => biases.bytes(),
                    Offset::Zero(_) => &[],
                };
                [tiles.quants, tiles.scales.bytes(), biases]
            }
            Form::Plain(matrix) => {
                let tiles = matrix.tiles(arena, self.columns, tiles);
                [tiles.numbers.bytes(), &[], &[]]
            }
        };
        let all: usize = parts.iter().map(|part| part.len()).sum();
        for part in parts {
            let some = (part.len() * bytes).div_ceil(all.max(1)).min(part.len());
            ahead.add(&part[..some]);
        }
        bytes.saturating_sub(all)
    }

    /// A row as numbers.
    pub(crate) fn copy_row(&self, arena: &Arena, row: usize, out: &mut [f32]) {
        match &self.form {
            Form::Affine(matrix) => matrix.copy_row(arena, row, out),
            Form::Plain(matrix) => matrix.copy_row(arena, row, out),
        }
    }
}

/// Rows of activations in the forms that some matrices need; the other forms are empty.
#[derive(Debug)]
pub(crate) struct InputRefs<'a> {
    pub(crate) plain: Vec<&'a [f32]>,
    pub(crate) blocks_of_16: Vec<&'a QuantizedRows>,
    pub(crate) blocks_of_32: Vec<&'a QuantizedRows>,
}
