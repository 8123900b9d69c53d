//! Rows of activations in the forms that matrices take them in.

use super::Norm;
use crate::{
    kernels::{Blocks, BlocksMut, Kernels, QuantizedRows, ROWS_TOGETHER},
    matrix::{InputRefs, Needs},
    parallel::Pool,
};

/// Below this many groups, handing them over costs more than it saves.
const WORTH_SHARING: usize = 2;

/// Rows of one input.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    groups: Vec<Group>,
    used: usize,
    columns: usize,
    needs: Needs,
}

/// Rows that go through a kernel together.
#[derive(Debug)]
struct Group {
    first_row: usize,
    /// `[rows, columns]`
    numbers: Vec<f32>,
    blocks_of_16: QuantizedRows,
    blocks_of_32: QuantizedRows,
}

impl Group {
    const fn new() -> Self {
        Self {
            first_row: 0,
            numbers: Vec::new(),
            blocks_of_16: QuantizedRows::new(Blocks::Of16),
            blocks_of_32: QuantizedRows::new(Blocks::Of32),
        }
    }

    fn prepare(
        &mut self,
        kernels: &dyn Kernels,
        columns: usize,
        (norm, needs): (Option<&Norm>, Needs),
        gather: &impl Fn(usize, &mut [f32]),
    ) {
        let rows = self.numbers.chunks_exact_mut(columns);
        for (row, numbers) in (self.first_row..).zip(rows) {
            gather(row, numbers);
            if let Some(norm) = norm {
                kernels.rms_norm(numbers, &norm.weight, norm.eps);
            }
        }
        self.blocks_of_16.precision = needs.precision;
        self.blocks_of_32.precision = needs.precision;
        if needs.blocks_of_16 {
            kernels.quantize(&self.numbers, columns, &mut self.blocks_of_16);
        }
        if needs.blocks_of_32 {
            kernels.quantize(&self.numbers, columns, &mut self.blocks_of_32);
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
        self.divide(rows, columns);
        self.needs = needs;
        let prepare = |group: &mut Group| group.prepare(kernels, columns, (norm, needs), &gather);
        let groups = &mut self.groups[..self.used];
        if groups.len() < WORTH_SHARING {
            groups.iter_mut().for_each(prepare);
        } else {
            pool.for_chunks(groups, 1, 1, |_, _, groups| {
                groups.iter_mut().for_each(prepare);
            });
        }
    }

    /// The same on the calling thread.
    pub(super) fn prepare_alone(
        &mut self,
        kernels: &dyn Kernels,
        (rows, columns): (usize, usize),
        needs: Needs,
        gather: impl Fn(usize, &mut [f32]),
    ) {
        self.divide(rows, columns);
        self.needs = needs;
        for group in &mut self.groups[..self.used] {
            group.prepare(kernels, columns, (None, needs), &gather);
        }
    }

    /// Room for rows that are rounded where they are computed, if one kernel takes them all and in
    /// one form.
    pub(super) fn blocks(
        &mut self,
        (rows, columns): (usize, usize),
        needs: Needs,
    ) -> Option<BlocksMut<'_>> {
        let block = match (needs.plain, needs.blocks_of_16, needs.blocks_of_32) {
            (false, true, false) => Blocks::Of16,
            (false, false, true) => Blocks::Of32,
            _ => return None,
        };
        if !ROWS_TOGETHER.contains(&rows) {
            return None;
        }
        self.divide(rows, columns);
        self.needs = needs;
        let group = self.groups.first_mut()?;
        let blocks = match block {
            Blocks::Of16 => &mut group.blocks_of_16,
            Blocks::Of32 => &mut group.blocks_of_32,
        };
        blocks.precision = needs.precision;
        blocks.resize(rows, columns);
        Some(blocks.blocks_mut())
    }

    /// Makes groups of as many rows as go together.
    fn divide(&mut self, rows: usize, columns: usize) {
        self.columns = columns;
        self.used = 0;
        let mut first_row = 0;
        for together in ROWS_TOGETHER {
            while first_row + together <= rows {
                if self.groups.len() == self.used {
                    self.groups.push(Group::new());
                }
                let group = &mut self.groups[self.used];
                group.first_row = first_row;
                group.numbers.resize(together * columns, 0.0);
                self.used += 1;
                first_row += together;
            }
        }
    }

    /// The rows as numbers, after the norm.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &[f32]> {
        self.groups[..self.used]
            .iter()
            .flat_map(|group| group.numbers.chunks_exact(self.columns))
    }

    /// The rows, for a product.
    pub(crate) fn refs(&self) -> InputRefs<'_> {
        let groups = |needed: bool| {
            self.groups[..self.used]
                .iter()
                .take(if needed { self.used } else { 0 })
        };
        InputRefs {
            plain: groups(self.needs.plain)
                .flat_map(|group| group.numbers.chunks_exact(self.columns))
                .collect(),
            blocks_of_16: groups(self.needs.blocks_of_16)
                .map(|group| &group.blocks_of_16)
                .collect(),
            blocks_of_32: groups(self.needs.blocks_of_32)
                .map(|group| &group.blocks_of_32)
                .collect(),
        }
    }
}
