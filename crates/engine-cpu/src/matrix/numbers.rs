//! Numbers of 16 or 32 bits, as files hold them and as they are kept.

use std::ops::Range;

use engine_core::Result;
use half::f16;
use memmap2::MmapMut;

use crate::{
    kernels::{LANES, Numbers},
    memory::{Arena, ArenaBuilder, Region, temporary},
};

/// The types that numbers may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberKind {
    F16,
    Bf16,
    F32,
}

impl NumberKind {
    /// Bytes of a number.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Numbers in a file: little endian, not aligned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceNumbers<'a> {
    pub(crate) kind: NumberKind,
    pub(crate) bytes: &'a [u8],
}

impl SourceNumbers<'_> {
    /// One of `count` equal parts.
    pub(crate) fn part(&self, index: usize, count: usize) -> Self {
        let bytes = self.bytes.len() / count.max(1);
        let bytes = index * bytes..(index + 1) * bytes;
        Self {
            kind: self.kind,
            bytes: self.bytes.get(bytes).unwrap_or(&[]),
        }
    }

    /// The number at an index, or 0 beyond the end.
    pub(crate) fn get(&self, index: usize) -> f32 {
        let size = self.kind.bytes();
        let Some(bytes) = self.bytes.get(index * size..(index + 1) * size) else {
            return 0.0;
        };
        match (self.kind, bytes) {
            (NumberKind::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (NumberKind::Bf16, &[a, b]) => f32::from_le_bytes([0, 0, a, b]),
            (NumberKind::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            _ => 0.0,
        }
    }

    /// Puts rows side by side, [`LANES`] at a time: `[rows, columns]` becomes
    /// `[tiles, columns, LANES]`, filled up with zeros.
    pub(crate) fn interleave(&self, rows: usize, columns: usize) -> Result<MmapMut> {
        let size = self.kind.bytes();
        let mut out = temporary(rows.div_ceil(LANES) * columns * LANES * size)?;
        for (row, numbers) in self
            .bytes
            .chunks_exact(columns * size)
            .take(rows)
            .enumerate()
        {
            let first = (row / LANES * columns * LANES + row % LANES) * size;
            for (column, number) in numbers.chunks_exact(size).enumerate() {
                let place = first + column * LANES * size;
                out[place..place + size].copy_from_slice(number);
            }
        }
        if cfg!(target_endian = "big") {
            out.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Ok(out)
    }

    /// The same numbers as f32.
    pub(crate) fn widened(&self) -> Vec<u8> {
        (0..self.bytes.len() / self.kind.bytes())
            .flat_map(|index| self.get(index).to_le_bytes())
            .collect()
    }
}

/// Numbers in memory, in the machine's order.
#[derive(Debug)]
pub(crate) struct StoredNumbers {
    kind: NumberKind,
    region: Region,
}

impl StoredNumbers {
    /// Keeps what [`SourceNumbers::interleave`] made.
    pub(crate) fn store(kind: NumberKind, bytes: &[u8], arena: &ArenaBuilder) -> Result<Self> {
        Ok(Self {
            kind,
            region: arena.store(bytes)?,
        })
    }

    /// All of them.
    pub(crate) fn all<'a>(&self, arena: &'a Arena) -> Numbers<'a> {
        let bytes = arena.bytes(&self.region);
        match self.kind {
            NumberKind::F16 => Numbers::F16(bytemuck::cast_slice(bytes)),
            NumberKind::Bf16 => Numbers::Bf16(bytemuck::cast_slice(bytes)),
            NumberKind::F32 => Numbers::F32(bytemuck::cast_slice(bytes)),
        }
    }

    /// Those of some tiles, of which each has `per_tile`.
    pub(crate) fn tiles<'a>(
        &self,
        arena: &'a Arena,
        per_tile: usize,
        tiles: Range<usize>,
    ) -> Numbers<'a> {
        self.all(arena)
            .slice(tiles.start * per_tile..tiles.end * per_tile)
    }
}
