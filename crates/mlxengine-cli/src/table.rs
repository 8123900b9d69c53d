//! Tables for people.

use crate::{failure::Failure, output::Output};

/// Rows of as many cells as there are headings.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned)],
        }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Each column as wide as its widest cell.
    pub(crate) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let widths: Vec<usize> = (0..N)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            output.text(&format!("{}\n", line.join("  ").trim_end()))?;
        }
        Ok(())
    }
}
