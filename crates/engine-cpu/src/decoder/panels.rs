//! Activations of several rows, in the order in which tiles of a matrix give them.

use crate::kernels::LANES;

/// Numbers `[tiles, rows, LANES]`: what a tile of a matrix gives for all rows lies together, so
/// that threads that share a matrix write to slices of their own.
#[derive(Debug, Default)]
pub(crate) struct Panels {
    pub(crate) rows: usize,
    pub(crate) data: Vec<f32>,
}

impl Panels {
    /// Takes on a size. The numbers are any.
    pub(crate) fn reset(&mut self, rows: usize, tiles: usize) {
        self.rows = rows;
        self.data.resize(rows * tiles * LANES, 0.0);
    }

    /// Copies some of a row's numbers, the first of which is at `column`.
    pub(crate) fn copy_row(&self, row: usize, column: usize, out: &mut [f32]) {
        let mut column = column;
        let mut rest = out;
        while !rest.is_empty() {
            let (tile, lane) = (column / LANES, column % LANES);
            let count = rest.len().min(LANES - lane);
            let (some, others) = rest.split_at_mut(count);
            let first = (tile * self.rows + row) * LANES + lane;
            some.copy_from_slice(&self.data[first..first + count]);
            column += count;
            rest = others;
        }
    }

    /// Writes a whole row.
    pub(crate) fn set_row(&mut self, row: usize, numbers: &[f32]) {
        for (tile, numbers) in numbers.chunks(LANES).enumerate() {
            let first = (tile * self.rows + row) * LANES;
            self.data[first..first + numbers.len()].copy_from_slice(numbers);
        }
    }
}
