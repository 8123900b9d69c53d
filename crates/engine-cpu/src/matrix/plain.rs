//! Matrices of numbers that are not quantized.

use std::ops::Range;

use engine_core::Result;

use super::{SourceNumbers, StoredNumbers};
use crate::{
    kernels::{LANES, PlainTiles},
    memory::{Arena, ArenaBuilder},
};

/// Numbers in the type of the file, interleaved.
#[derive(Debug)]
pub(crate) struct PlainMatrix {
    numbers: StoredNumbers,
}

impl PlainMatrix {
    /// Packs `[rows, columns]`.
    pub(crate) fn pack(
        source: &SourceNumbers<'_>,
        rows: usize,
        columns: usize,
        arena: &ArenaBuilder,
    ) -> Result<Self> {
        let bytes = source.interleave(rows, columns)?;
        Ok(Self {
            numbers: StoredNumbers::store(source.kind, &bytes, arena)?,
        })
    }

    pub(super) fn tiles<'a>(
        &self,
        arena: &'a Arena,
        columns: usize,
        tiles: Range<usize>,
    ) -> PlainTiles<'a> {
        PlainTiles {
            columns,
            numbers: self.numbers.tiles(arena, columns * LANES, tiles),
        }
    }

    pub(super) fn copy_row(&self, arena: &Arena, row: usize, out: &mut [f32]) {
        let numbers = self.numbers.all(arena);
        let first = row / LANES * LANES * out.len() + row % LANES;
        for (column, out) in out.iter_mut().enumerate() {
            *out = numbers.get(first + column * LANES);
        }
    }
}
