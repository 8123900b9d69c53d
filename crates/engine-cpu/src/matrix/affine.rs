//! Matrices of quantized weights `w = scale * q + bias`.

use std::ops::Range;

use engine_core::Result;
use memmap2::MmapMut;

use super::{NumberKind, SourceNumbers, StoredNumbers};
use crate::{
    kernels::{AffineTiles, Blocks, LANES, Offset, Width},
    memory::{Arena, ArenaBuilder, Region, temporary},
};

/// What a file holds of such a matrix: MLX's `weight`, `scales` and `biases`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AffineSource<'a> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// 2, 3, 4, 5, 6 or 8.
    pub(crate) bits: usize,
    /// Columns that share a scale: a divisor of `columns` and a multiple of 16.
    pub(crate) group: usize,
    /// Each row's weights, from the lowest bit of the first byte up.
    pub(crate) packed: &'a [u8],
    /// `[rows, columns / group]`.
    pub(crate) scales: SourceNumbers<'a>,
    /// Likewise.
    pub(crate) biases: SourceNumbers<'a>,
}

/// Quantized weights in tiles; see [`AffineTiles`].
#[derive(Debug)]
pub(crate) struct AffineMatrix {
    width: Width,
    group: usize,
    pub(super) block: Blocks,
    quants: Region,
    scales: StoredNumbers,
    biases: Biases,
}

#[derive(Debug)]
enum Biases {
    Stored(StoredNumbers),
    Zero(f32),
}

impl AffineMatrix {
    /// Packs a matrix. Weights of up to four bits take four in memory, others eight.
    pub(crate) fn pack(source: &AffineSource<'_>, arena: &ArenaBuilder) -> Result<Self> {
        let width = if source.bits <= 4 {
            Width::Nibble
        } else {
            Width::Byte
        };
        let quants = arena.store(&pack_quants(source, width)?)?;
        let groups = source.columns / source.group;
        let (wide_scales, wide_biases);
        let (mut scales, mut biases) = (source.scales, source.biases);
        if scales.kind != biases.kind {
            (wide_scales, wide_biases) = (scales.widened(), biases.widened());
            let wide = |bytes| SourceNumbers {
                kind: NumberKind::F32,
                bytes,
            };
            (scales, biases) = (wide(&wide_scales), wide(&wide_biases));
        }
        let store = |numbers: &SourceNumbers<'_>| {
            let bytes = numbers.interleave(source.rows, groups)?;
            StoredNumbers::store(numbers.kind, &bytes, arena)
        };
        let zero = (1 << (source.bits - 1)) as f32;
        let biases = if is_centred(&scales, &biases, source.rows * groups, zero) {
            Biases::Zero(zero)
        } else {
            Biases::Stored(store(&biases)?)
        };
        Ok(Self {
            width,
            group: source.group,
            block: if source.group.is_multiple_of(Blocks::Of32.len()) {
                Blocks::Of32
            } else {
                Blocks::Of16
            },
            quants,
            scales: store(&scales)?,
            biases,
        })
    }

    pub(super) fn tiles<'a>(
        &self,
        arena: &'a Arena,
        columns: usize,
        tiles: Range<usize>,
    ) -> AffineTiles<'a> {
        let tile_bytes = self.width.tile_bytes(columns);
        let per_tile = columns / self.group * LANES;
        let quants = arena.bytes(&self.quants);
        AffineTiles {
            width: self.width,
            columns,
            group: self.group,
            block: self.block,
            quants: &quants[tiles.start * tile_bytes..tiles.end * tile_bytes],
            scales: self.scales.tiles(arena, per_tile, tiles.clone()),
            offset: match &self.biases {
                Biases::Stored(biases) => Offset::Biases(biases.tiles(arena, per_tile, tiles)),
                Biases::Zero(zero) => Offset::Zero(*zero),
            },
        }
    }

    pub(super) fn copy_row(&self, arena: &Arena, row: usize, out: &mut [f32]) {
        let (tile, lane) = (row / LANES, row % LANES);
        let tiles = self.tiles(arena, out.len(), tile..tile + 1);
        for (column, out) in out.iter_mut().enumerate() {
            let quant = match self.width {
                Width::Byte => tiles.quants[(column / 4 * LANES + lane) * 4 + column % 4],
                Width::Nibble => {
                    let both = tiles.quants[(column / 8 * LANES + lane) * 4 + column % 4];
                    if column % 8 < 4 { both & 15 } else { both >> 4 }
                }
            };
            let index = column / self.group * LANES + lane;
            let scale = tiles.scales.get(index);
            let bias = match &tiles.offset {
                Offset::Biases(biases) => biases.get(index),
                Offset::Zero(zero) => -zero * scale,
            };
            *out = scale * f32::from(quant) + bias;
        }
    }
}

/// Whether every bias is `-zero * scale`, so that none need be kept.
fn is_centred(
    scales: &SourceNumbers<'_>,
    biases: &SourceNumbers<'_>,
    count: usize,
    zero: f32,
) -> bool {
    (0..count).all(|index| biases.get(index) == -zero * scales.get(index))
}

/// Lines of 64 bytes, four for each row of a tile; see [`AffineTiles`].
fn pack_quants(source: &AffineSource<'_>, width: Width) -> Result<MmapMut> {
    let tile_bytes = width.tile_bytes(source.columns);
    let mut out = temporary(source.rows.div_ceil(LANES) * tile_bytes)?;
    let row_bytes = source.columns * source.bits / 8;
    let mut unpacked = vec![0; source.columns];
    for (row, packed) in source
        .packed
        .chunks_exact(row_bytes)
        .take(source.rows)
        .enumerate()
    {
        let tile = &mut out[row / LANES * tile_bytes..][..tile_bytes];
        let lane = row % LANES * 4;
        let lines = tile
            .chunks_exact_mut(4 * LANES)
            .map(|line| &mut line[lane..lane + 4]);
        if source.bits == 4 {
            let (words, _) = packed.as_chunks::<4>();
            for (out, word) in lines.zip(words) {
                out.copy_from_slice(&spread(u32::from_le_bytes(*word)).to_le_bytes());
            }
            continue;
        }
        let packed = if source.bits == 8 {
            packed
        } else {
            unpack(packed, source.bits, &mut unpacked);
            &unpacked
        };
        match width {
            Width::Byte => {
                let (fours, _) = packed.as_chunks::<4>();
                for (out, four) in lines.zip(fours) {
                    out.copy_from_slice(four);
                }
            }
            Width::Nibble => {
                let (eights, _) = packed.as_chunks::<8>();
                for (out, eight) in lines.zip(eights) {
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = eight[i] | eight[i + 4] << 4;
                    }
                }
            }
        }
    }
    Ok(out)
}

/// Eight nibbles in a row to four bytes, of which byte `i` has nibbles `i` and `i + 4`.
fn spread(nibbles: u32) -> u32 {
    let every_other = |half: u32| {
        let half = (half | half << 8) & 0x00ff_00ff;
        (half | half << 4) & 0x0f0f_0f0f
    };
    every_other(nibbles & 0xffff) | every_other(nibbles >> 16) << 4
}

/// Weights of a few bits each, from the lowest bit up, as bytes.
fn unpack(packed: &[u8], bits: usize, out: &mut [u8]) {
    let mask = (1 << bits) - 1;
    for (index, out) in out.iter_mut().enumerate() {
        let bit = index * bits;
        let low = packed.get(bit / 8).copied().unwrap_or(0);
        let high = packed.get(bit / 8 + 1).copied().unwrap_or(0);
        let both = u16::from_le_bytes([low, high]);
        *out = (both >> (bit % 8) & mask) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_are_spread_over_bytes_with_their_partners() {
        assert_eq!(spread(0x7654_3210).to_le_bytes(), [0x40, 0x51, 0x62, 0x73]);
    }

    #[test]
    fn weights_of_any_width_are_unpacked_from_the_lowest_bit() {
        for bits in [2, 3, 4, 5, 6, 8] {
            let weights: Vec<u8> = (0..32u32).map(|i| (i * 7 % (1 << bits)) as u8).collect();
            let mut packed = vec![0u8; 32 * bits / 8];
            for (index, weight) in weights.iter().enumerate() {
                for bit in 0..bits {
                    let place = index * bits + bit;
                    packed[place / 8] |= (weight >> bit & 1) << (place % 8);
                }
            }
            let mut out = vec![0; 32];
            unpack(&packed, bits, &mut out);
            assert_eq!(out, weights, "{bits} bits");
        }
    }

    #[test]
    fn rows_come_back_as_they_were_packed() {
        for bits in [2usize, 3, 4, 5, 6, 8] {
            let (rows, columns, group) = (19, 96, 48);
            let packed: Vec<u8> = (0..rows * columns * bits / 8)
                .map(|i| (i * 89 + i / 7) as u8)
                .collect();
            let numbers = |seed: usize| -> Vec<u8> {
                (0..rows * columns / group)
                    .flat_map(|i| ((i * seed % 13) as f32 - 6.0).to_le_bytes())
                    .collect()
            };
            let (scales, biases) = (numbers(3), numbers(5));
            let f32s = |bytes| SourceNumbers {
                kind: NumberKind::F32,
                bytes,
            };
            let source = AffineSource {
                rows,
                columns,
                bits,
                group,
                packed: &packed,
                scales: f32s(&scales),
                biases: f32s(&biases),
            };
            let builder = ArenaBuilder::new();
            let matrix = AffineMatrix::pack(&source, &builder).unwrap();
            let arena = builder.finish();
            for row in 0..rows {
                let mut quants = vec![0; columns];
                let row_bytes = columns * bits / 8;
                unpack(&packed[row * row_bytes..][..row_bytes], bits, &mut quants);
                let mut out = vec![0.0; columns];
                matrix.copy_row(&arena, row, &mut out);
                for column in 0..columns {
                    let index = row * (columns / group) + column / group;
                    let expected = source.scales.get(index) * f32::from(quants[column])
                        + source.biases.get(index);
                    assert_eq!(out[column], expected, "{bits} bits, row {row}");
                }
            }
        }
    }
}
