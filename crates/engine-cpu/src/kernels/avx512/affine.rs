//! Affine tiles: `vpdpbusd` multiplies unsigned weights with signed activations, four at a time in
//! each of sixteen rows.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_cvtepi32_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_srli_epi16, _mm512_storeu_ps,
};

use super::load::{BF16, BYTES, F16, F32, numbers};
use crate::kernels::{AffineTiles, Blocks, LANES, Numbers, Offset, QuantizedRows, Width};

/// A loop over rows that is certainly unrolled: sums that are not in registers cost more than all
/// else.
macro_rules! for_each_row {
    ($row:ident in $rows:ident $body:block) => {
        for_each_row!($row, $rows, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    };
    ($row:ident, $rows:ident, $body:block, $($number:literal)*) => {
        $(if $number < $rows {
            let $row = $number;
            $body
        })*
    };
}

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

/// # Safety
/// `tiles.check(groups, out)` must hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
pub(super) unsafe fn affine(tiles: &AffineTiles<'_>, groups: &[&QuantizedRows], out: &mut [f32]) {
    let kind = match tiles.scales {
        Numbers::F16(_) => F16,
        Numbers::Bf16(_) => BF16,
        Numbers::F32(_) => F32,
    };
    // SAFETY: as the caller's.
    unsafe {
        match (tiles.width, tiles.block, kind) {
            (Width::Nibble, Blocks::Of32, F16) => all::<true, 32, F16>(tiles, groups, out),
            (Width::Nibble, Blocks::Of32, BF16) => all::<true, 32, BF16>(tiles, groups, out),
            (Width::Nibble, Blocks::Of32, _) => all::<true, 32, F32>(tiles, groups, out),
            (Width::Nibble, Blocks::Of16, F16) => all::<true, 16, F16>(tiles, groups, out),
            (Width::Nibble, Blocks::Of16, BF16) => all::<true, 16, BF16>(tiles, groups, out),
            (Width::Nibble, Blocks::Of16, _) => all::<true, 16, F32>(tiles, groups, out),
            (Width::Byte, Blocks::Of32, F16) => all::<false, 32, F16>(tiles, groups, out),
            (Width::Byte, Blocks::Of32, BF16) => all::<false, 32, BF16>(tiles, groups, out),
            (Width::Byte, Blocks::Of32, _) => all::<false, 32, F32>(tiles, groups, out),
            (Width::Byte, Blocks::Of16, F16) => all::<false, 16, F16>(tiles, groups, out),
            (Width::Byte, Blocks::Of16, BF16) => all::<false, 16, BF16>(tiles, groups, out),
            (Width::Byte, Blocks::Of16, _) => all::<false, 16, F32>(tiles, groups, out),
        }
    }
}

/// # Safety
/// As [`affine`]'s; the constants are those of `tiles`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn all<const NIBBLE: bool, const BLOCK: usize, const KIND: u8>(
    tiles: &AffineTiles<'_>,
    groups: &[&QuantizedRows],
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
            for group in groups {
                match group.rows() {
                    16 => some_rows::<NIBBLE, BLOCK, KIND, 16>(tile, group, out),
                    8 => some_rows::<NIBBLE, BLOCK, KIND, 8>(tile, group, out),
                    4 => some_rows::<NIBBLE, BLOCK, KIND, 4>(tile, group, out),
                    2 => some_rows::<NIBBLE, BLOCK, KIND, 2>(tile, group, out),
                    _ => some_rows::<NIBBLE, BLOCK, KIND, 1>(tile, group, out),
                }
                out = out.add(group.rows() * LANES);
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
/// As [`affine`]'s; there are `T` rows, and room for those of one tile at `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn some_rows<const NIBBLE: bool, const BLOCK: usize, const KIND: u8, const T: usize>(
    tile: Tile,
    rows: &QuantizedRows,
    out: *mut f32,
) {
    let words = rows.words().as_ptr();
    // SAFETY: as the caller's.
    unsafe {
        if tile.biases.is_null() {
            one_tile::<NIBBLE, BLOCK, KIND, false, T>(tile, words, out);
        } else {
            one_tile::<NIBBLE, BLOCK, KIND, true, T>(tile, words, out);
        }
    }
}

/// # Safety
/// As [`some_rows`]'; `words` are those of the rows, and the biases are there if `BIASES`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn one_tile<
    const NIBBLE: bool,
    const BLOCK: usize,
    const KIND: u8,
    const BIASES: bool,
    const T: usize,
>(
    tile: Tile,
    words: *const u32,
    out: *mut f32,
) {
    let minus_zero = _mm512_set1_ps(-tile.zero);
    let low = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_ps(); T];
    let mut quants = tile.quants;
    let mut words = words;
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
                let scales = words.add(T * BLOCK / 4).cast::<f32>();
                for_each_row!(row in T {
                    let products = dot::<BLOCK, T>(&weights, words.add(row * BLOCK / 4));
                    let scaled = _mm512_mul_ps(
                        _mm512_cvtepi32_ps(products),
                        _mm512_set1_ps(*scales.add(row)),
                    );
                    let sum = _mm512_set1_ps(*scales.add(T + row));
                    sums[row] = _mm512_fmadd_ps(scaled, scale, sums[row]);
                    sums[row] = _mm512_fmadd_ps(bias, sum, sums[row]);
                });
                words = words.add(T * (BLOCK / 4 + 2));
            }
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        // SAFETY: there is room for `T` rows of sixteen.
        unsafe {
            let out = out.add(row * LANES);
            _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), *sum));
        }
    }
}

/// Integer products of a block. Where few rows come together, in two chains.
///
/// # Safety
/// There are `BLOCK` values, four in a word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn dot<const BLOCK: usize, const T: usize>(
    weights: &[__m512i; 8],
    values: *const u32,
) -> __m512i {
    let mut even = _mm512_setzero_si512();
    let mut odd = _mm512_setzero_si512();
    for (i, weights) in weights.iter().enumerate().take(BLOCK / 4) {
        // SAFETY: `i` is below a quarter of `BLOCK`.
        let four = _mm512_set1_epi32(unsafe { *values.add(i) } as i32);
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
