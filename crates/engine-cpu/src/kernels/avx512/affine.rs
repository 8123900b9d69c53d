//! Affine tiles: `vpdpbusd` multiplies unsigned weights with signed activations, four at a time in
//! each of sixteen rows.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_cvtepi32_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_srli_epi16, _mm512_storeu_ps,
};

use super::load::{BF16, BYTES, F16, F32, numbers};
use crate::kernels::{AffineTiles, Blocks, LANES, Numbers, Offset, QuantizedRow, Width};

/// Rows of activations that share an unpacked weight.
const MOST_ROWS: usize = 8;

/// A tile's data, as pointers.
#[derive(Clone, Copy)]
struct Tile {
    quants: *const u8,
    scales: *const u8,
    /// Null if the bias is `-zero * scale`.
    biases: *const u8,
    zero: f32,
    groups: usize,
    blocks_per_group: usize,
}

/// Rows of activations, and where their products go.
#[derive(Clone, Copy)]
struct Rows<const T: usize> {
    values: [*const i8; T],
    scales: [*const f32; T],
    sums: [*const f32; T],
    out: *mut f32,
}

/// # Safety
/// `tiles.check(rows, out)` must hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
pub(super) unsafe fn affine(tiles: &AffineTiles<'_>, rows: &[&QuantizedRow], out: &mut [f32]) {
    let kind = match tiles.scales {
        Numbers::F16(_) => F16,
        Numbers::Bf16(_) => BF16,
        Numbers::F32(_) => F32,
    };
    // SAFETY: as the caller's.
    unsafe {
        match (tiles.width, tiles.block, kind) {
            (Width::Nibble, Blocks::Of32, F16) => all::<true, 32, F16>(tiles, rows, out),
            (Width::Nibble, Blocks::Of32, BF16) => all::<true, 32, BF16>(tiles, rows, out),
            (Width::Nibble, Blocks::Of32, _) => all::<true, 32, F32>(tiles, rows, out),
            (Width::Nibble, Blocks::Of16, F16) => all::<true, 16, F16>(tiles, rows, out),
            (Width::Nibble, Blocks::Of16, BF16) => all::<true, 16, BF16>(tiles, rows, out),
            (Width::Nibble, Blocks::Of16, _) => all::<true, 16, F32>(tiles, rows, out),
            (Width::Byte, Blocks::Of32, F16) => all::<false, 32, F16>(tiles, rows, out),
            (Width::Byte, Blocks::Of32, BF16) => all::<false, 32, BF16>(tiles, rows, out),
            (Width::Byte, Blocks::Of32, _) => all::<false, 32, F32>(tiles, rows, out),
            (Width::Byte, Blocks::Of16, F16) => all::<false, 16, F16>(tiles, rows, out),
            (Width::Byte, Blocks::Of16, BF16) => all::<false, 16, BF16>(tiles, rows, out),
            (Width::Byte, Blocks::Of16, _) => all::<false, 16, F32>(tiles, rows, out),
        }
    }
}

/// # Safety
/// As [`affine`]'s; the constants are those of `tiles`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn all<const NIBBLE: bool, const BLOCK: usize, const KIND: u8>(
    tiles: &AffineTiles<'_>,
    rows: &[&QuantizedRow],
    out: &mut [f32],
) {
    let tile_bytes = tiles.width.tile_bytes(tiles.columns);
    let number_bytes = tiles.groups() * LANES * BYTES[KIND as usize];
    let scales = start(&tiles.scales);
    let (biases, zero) = match &tiles.offset {
        Offset::Biases(biases) => (start(biases), 0.0),
        Offset::Zero(zero) => (std::ptr::null(), *zero),
    };
    let mut out = out.as_mut_ptr();
    for tile in 0..tiles.tiles() {
        // SAFETY: `check` found that there is a tile of quants, scales and biases for each number,
        // and sixteen numbers of output for each tile and row.
        unsafe {
            let tile = Tile {
                quants: tiles.quants.as_ptr().add(tile * tile_bytes),
                scales: scales.add(tile * number_bytes),
                biases: if biases.is_null() {
                    biases
                } else {
                    biases.add(tile * number_bytes)
                },
                zero,
                groups: tiles.groups(),
                blocks_per_group: tiles.group / BLOCK,
            };
            let mut rest = rows;
            while let Some((some, others)) = rest.split_first_chunk::<MOST_ROWS>() {
                some_rows::<NIBBLE, BLOCK, KIND, MOST_ROWS>(tile, some, out);
                out = out.add(MOST_ROWS * LANES);
                rest = others;
            }
            if let Some((some, others)) = rest.split_first_chunk::<4>() {
                some_rows::<NIBBLE, BLOCK, KIND, 4>(tile, some, out);
                out = out.add(4 * LANES);
                rest = others;
            }
            if let Some((some, others)) = rest.split_first_chunk::<2>() {
                some_rows::<NIBBLE, BLOCK, KIND, 2>(tile, some, out);
                out = out.add(2 * LANES);
                rest = others;
            }
            if let Some((some, _)) = rest.split_first_chunk::<1>() {
                some_rows::<NIBBLE, BLOCK, KIND, 1>(tile, some, out);
                out = out.add(LANES);
            }
        }
    }
}

fn start(numbers: &Numbers<'_>) -> *const u8 {
    match numbers {
        Numbers::F16(bits) | Numbers::Bf16(bits) => bits.as_ptr().cast(),
        Numbers::F32(numbers) => numbers.as_ptr().cast(),
    }
}

/// # Safety
/// As [`affine`]'s; `out` has room for `T` rows of one tile.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn some_rows<const NIBBLE: bool, const BLOCK: usize, const KIND: u8, const T: usize>(
    tile: Tile,
    rows: &[&QuantizedRow; T],
    out: *mut f32,
) {
    let rows = Rows {
        values: rows.map(|row| row.values.as_ptr()),
        scales: rows.map(|row| row.scales.as_ptr()),
        sums: rows.map(|row| row.sums.as_ptr()),
        out,
    };
    // SAFETY: as the caller's.
    unsafe {
        if tile.biases.is_null() {
            one_tile::<NIBBLE, BLOCK, KIND, false, T>(tile, rows);
        } else {
            one_tile::<NIBBLE, BLOCK, KIND, true, T>(tile, rows);
        }
    }
}

/// # Safety
/// As [`affine`]'s; `rows.out` has room for `T` rows of one tile, and the biases are there if
/// `BIASES`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn one_tile<
    const NIBBLE: bool,
    const BLOCK: usize,
    const KIND: u8,
    const BIASES: bool,
    const T: usize,
>(
    tile: Tile,
    rows: Rows<T>,
) {
    let minus_zero = _mm512_set1_ps(-tile.zero);
    let low = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_ps(); T];
    let mut quants = tile.quants;
    let mut block = 0;
    for group in 0..tile.groups {
        // SAFETY: there are `groups` times sixteen scales, and biases if `BIASES`; each block has
        // `BLOCK` columns of quants, values of each row, a scale and a sum.
        unsafe {
            let scale = numbers::<KIND>(tile.scales, group * LANES);
            let bias = if BIASES {
                numbers::<KIND>(tile.biases, group * LANES)
            } else {
                _mm512_mul_ps(scale, minus_zero)
            };
            for _ in 0..tile.blocks_per_group {
                let mut weights = [_mm512_setzero_si512(); 8];
                if NIBBLE {
                    for line in 0..BLOCK / 8 {
                        let both = _mm512_loadu_si512(quants.add(line * 64).cast());
                        weights[2 * line] = _mm512_and_si512(both, low);
                        weights[2 * line + 1] = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
                    }
                    quants = quants.add(BLOCK / 8 * 64);
                } else {
                    for (line, weights) in weights.iter_mut().enumerate().take(BLOCK / 4) {
                        *weights = _mm512_loadu_si512(quants.add(line * 64).cast());
                    }
                    quants = quants.add(BLOCK / 4 * 64);
                }
                for (row, total) in sums.iter_mut().enumerate() {
                    let values = rows.values[row].add(block * BLOCK);
                    let products = dot::<BLOCK, T>(&weights, values);
                    let scaled = _mm512_mul_ps(
                        _mm512_cvtepi32_ps(products),
                        _mm512_set1_ps(*rows.scales[row].add(block)),
                    );
                    *total = _mm512_fmadd_ps(scaled, scale, *total);
                    let sum = _mm512_set1_ps(*rows.sums[row].add(block));
                    *total = _mm512_fmadd_ps(bias, sum, *total);
                }
                block += 1;
            }
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        // SAFETY: there is room for `T` rows of sixteen.
        unsafe {
            let out = rows.out.add(row * LANES);
            _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), *sum));
        }
    }
}

/// Integer products of a block. Where few rows come together, in two chains.
///
/// # Safety
/// There are `BLOCK` values.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn dot<const BLOCK: usize, const T: usize>(
    weights: &[__m512i; 8],
    values: *const i8,
) -> __m512i {
    let mut even = _mm512_setzero_si512();
    let mut odd = _mm512_setzero_si512();
    for (i, weights) in weights.iter().enumerate().take(BLOCK / 4) {
        // SAFETY: `i` is below a quarter of `BLOCK`.
        let four = unsafe { values.add(4 * i).cast::<[u8; 4]>().read() };
        let four = _mm512_set1_epi32(i32::from_le_bytes(four));
        if T < 4 && i % 2 == 1 {
            odd = _mm512_dpbusd_epi32(odd, *weights, four);
        } else {
            even = _mm512_dpbusd_epi32(even, *weights, four);
        }
    }
    if T < 4 {
        _mm512_add_epi32(even, odd)
    } else {
        even
    }
}
