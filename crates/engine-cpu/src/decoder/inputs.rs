//! Rows of activations in the forms that matrices take them in.

use super::Norm;
use crate::{
    kernels::{Blocks, Kernels, QuantizedRow},
    matrix::{InputRefs, Needs},
    parallel::Pool,
};

/// Below this many rows, handing them over costs more than it saves.
const WORTH_SHARING: usize = 4;
/// Rows that a thread takes at a time.
const ROWS_AT_A_TIME: usize = 16;

/// Rows of one input.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    rows: Vec<InputRow>,
    used: usize,
    needs: Needs,
}

#[derive(Debug)]
struct InputRow {
    numbers: Vec<f32>,
    blocks_of_16: QuantizedRow,
    blocks_of_32: QuantizedRow,
}

impl InputRow {
    const fn new() -> Self {
        Self {
            numbers: Vec::new(),
            blocks_of_16: QuantizedRow::new(Blocks::Of16),
            blocks_of_32: QuantizedRow::new(Blocks::Of32),
        }
    }
}

impl Inputs {
    /// Takes rows from `gather`, normalizes them if there is a norm, and rounds them as needed.
    pub(crate) fn prepare(
        &mut self,
        pool: &mut Pool,
        kernels: &dyn Kernels,
        (rows, columns): (usize, usize),
        (norm, needs): (Option<&Norm>, Needs),
        gather: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        if self.rows.len() < rows {
            self.rows.resize_with(rows, InputRow::new);
        }
        self.used = rows;
        self.needs = needs;
        let prepare = |first: usize, rows: &mut [InputRow]| {
            for (row, input) in (first..).zip(rows) {
                input.numbers.resize(columns, 0.0);
                gather(row, &mut input.numbers);
                if let Some(norm) = norm {
                    kernels.rms_norm(&mut input.numbers, &norm.weight, norm.eps);
                }
                if needs.blocks_of_16 {
                    kernels.quantize(&input.numbers, &mut input.blocks_of_16);
                }
                if needs.blocks_of_32 {
                    kernels.quantize(&input.numbers, &mut input.blocks_of_32);
                }
            }
        };
        let inputs = &mut self.rows[..rows];
        if rows < WORTH_SHARING {
            prepare(0, inputs);
        } else {
            pool.for_chunks(inputs, 1, ROWS_AT_A_TIME, |_, first, rows| {
                prepare(first, rows);
            });
        }
    }

    /// The rows as numbers, after the norm.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &[f32]> {
        self.rows[..self.used].iter().map(|row| &row.numbers[..])
    }

    /// The rows, for a product.
    pub(crate) fn refs(&self) -> InputRefs<'_> {
        let rows = || self.rows[..self.used].iter();
        let if_needed = |needed: bool| rows().take(if needed { self.used } else { 0 });
        InputRefs {
            plain: if_needed(self.needs.plain)
                .map(|row| &row.numbers[..])
                .collect(),
            blocks_of_16: if_needed(self.needs.blocks_of_16)
                .map(|row| &row.blocks_of_16)
                .collect(),
            blocks_of_32: if_needed(self.needs.blocks_of_32)
                .map(|row| &row.blocks_of_32)
                .collect(),
        }
    }
}
