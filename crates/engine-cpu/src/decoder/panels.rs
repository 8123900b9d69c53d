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
        let (mut tile, lane) = (column / LANES, column % LANES);
        let (head, rest) = out.split_at_mut(out.len().min((LANES - lane) % LANES));
        if !head.is_empty() {
            let first = (tile * self.rows + row) * LANES + lane;
            head.copy_from_slice(&self.data[first..first + head.len()]);
            tile += 1;
        }
        let (panels, _) = self.data.as_chunks::<LANES>();
        let mut panels = panels
            .iter()
            .skip(tile * self.rows + row)
            .step_by(self.rows.max(1));
        let (whole, tail) = rest.as_chunks_mut::<LANES>();
        for (out, panel) in whole.iter_mut().zip(&mut panels) {
            *out = *panel;
        }
        if let Some(panel) = panels.next().filter(|_| !tail.is_empty()) {
            tail.copy_from_slice(&panel[..tail.len()]);
        }
    }

    /// Appends the first `columns` numbers of a row.
    pub(crate) fn append_row(&self, row: usize, columns: usize, out: &mut Vec<f32>) {
        if self.rows == 1 {
            out.extend_from_slice(&self.data[..columns]);
            return;
        }
        let end = out.len() + columns;
        out.reserve(columns.next_multiple_of(LANES));
        let (panels, _) = self.data.as_chunks::<LANES>();
        let panels = panels.iter().skip(row).step_by(self.rows);
        for panel in panels.take(columns.div_ceil(LANES)) {
            out.extend_from_slice(panel);
        }
        out.truncate(end);
    }

    /// Writes a whole row.
    pub(crate) fn set_row(&mut self, row: usize, numbers: &[f32]) {
        for (tile, numbers) in numbers.chunks(LANES).enumerate() {
            let first = (tile * self.rows + row) * LANES;
            self.data[first..first + numbers.len()].copy_from_slice(numbers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_rows_come_back_from_any_column() {
        let mut panels = Panels::default();
        panels.reset(3, 4);
        let number = |row: usize, column: usize| (row * 100 + column) as f32;
        for row in 0..3 {
            let numbers: Vec<f32> = (0..60).map(|column| number(row, column)).collect();
            panels.set_row(row, &numbers);
        }
        for row in 0..3 {
            let mut appended = vec![7.0];
            panels.append_row(row, 59, &mut appended);
            let expected: Vec<f32> = (0..59).map(|column| number(row, column)).collect();
            assert_eq!(appended[1..], expected);
            for start in 0..60 {
                for len in 0..=60 - start {
                    let mut out = vec![-1.0; len];
                    panels.copy_row(row, start, &mut out);
                    let expected: Vec<f32> = (start..start + len)
                        .map(|column| number(row, column))
                        .collect();
                    assert_eq!(out, expected, "row {row}, {len} from {start}");
                }
            }
        }
    }
}
