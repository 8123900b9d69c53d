//! Affine tiles: `vpdpbusd` multiplies unsigned weights with signed activations, four at a time in
//! each of sixteen rows.

use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512,
    _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mul_ps, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_ps,
};

use super::load::{AHEAD, BF16, BYTES, F16, F32, numbers};
use crate::kernels::{
    AffineTiles, Blocks, LANES, Numbers, Offset, Precision, QuantizedRows, Width,
};

/// A loop over rows that is certainly unrolled: sums that are not in registers cost more than all
/// else.
macro_rules! for_each_row {
    ($row:ident in $rows:ident $body:block) => {
        for_each_row!($row, $rows, $body, 0 1 2 3 4 5 6 7);
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
    /// Of the scales and biases.
    kind: u8,
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
    // SAFETY: as the caller's; the constants are those of `tiles`.
    unsafe {
        match (tiles.width, tiles.block) {
            (Width::Nibble, Blocks::Of32) => all::<true, 32>(tiles, groups, out),
            (Width::Nibble, Blocks::Of16) => all::<true, 16>(tiles, groups, out),
            (Width::Byte, Blocks::Of32) => all::<false, 32>(tiles, groups, out),
            (Width::Byte, Blocks::Of16) => all::<false, 16>(tiles, groups, out),
        }
    }
}

/// # Safety
/// As [`affine`]'s; the constants are those of `tiles`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn all<const NIBBLE: bool, const BLOCK: usize>(
    tiles: &AffineTiles<'_>,
    groups: &[&QuantizedRows],
    out: &mut [f32],
) {
    let tile_bytes = tiles.width.tile_bytes(tiles.columns);
    let kind = match tiles.scales {
        Numbers::F16(_) => F16,
        Numbers::Bf16(_) => BF16,
        Numbers::F32(_) => F32,
    };
    let number_bytes = tiles.groups() * LANES * BYTES[kind as usize];
    let scales = start(&tiles.scales);
    let (biases, zero) = match &tiles.offset {
        Offset::Biases(biases) => (start(biases), 0.0),
        Offset::Zero(zero) => (std::ptr::null(), *zero),
    };
    for line in tiles.quants.chunks(64).take(AHEAD / 64) {
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
    }
    let mut out = out.as_mut_ptr();
    for tile in 0..tiles.tiles() {
        // SAFETY: `check` found that there is a tile of quants, scales and biases for each number,
        // and sixteen numbers of output for each tile and row.
        unsafe {
            let tile = Tile {
                quants: tiles.quants.as_ptr().add(tile * tile_bytes),
                kind,
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
                let words = group.words().as_ptr();
                match group.precision {
                    Precision::Eight => {
                        some_rows::<NIBBLE, BLOCK, false>(tile, group.rows(), words, out);
                    }
                    Precision::Fifteen => {
                        some_rows::<NIBBLE, BLOCK, true>(tile, group.rows(), words, out);
                    }
                }
                out = out.add(group.rows() * LANES);
            }
        }
    }
}

/// # Safety
/// As [`affine`]'s; `words` are those of so many rows, for which there is room at `out`, and `WIDE`
/// stands for their precision.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn some_rows<const NIBBLE: bool, const BLOCK: usize, const WIDE: bool>(
    tile: Tile,
    rows: usize,
    words: *const u32,
    out: *mut f32,
) {
    // SAFETY: as the caller's.
    unsafe {
        match rows {
            8 => one_tile::<NIBBLE, BLOCK, WIDE, 8>(tile, words, out),
            4 => one_tile::<NIBBLE, BLOCK, WIDE, 4>(tile, words, out),
            2 => one_tile::<NIBBLE, BLOCK, WIDE, 2>(tile, words, out),
            _ => one_tile::<NIBBLE, BLOCK, WIDE, 1>(tile, words, out),
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
/// As [`some_rows`]', with `T` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn one_tile<const NIBBLE: bool, const BLOCK: usize, const WIDE: bool, const T: usize>(
    tile: Tile,
    words: *const u32,
    out: *mut f32,
) {
    let minus_zero = _mm512_set1_ps(-tile.zero);
    let low = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_ps(); T];
    let mut quants = tile.quants;
    let mut words = words;
    let group_bytes = tile.blocks_per_group * BLOCK * LANES / if NIBBLE { 2 } else { 1 };
    let scales_ahead = AHEAD / group_bytes * LANES * BYTES[tile.kind as usize];
    for group in 0..tile.groups {
        // SAFETY: there are `groups` times sixteen scales, and biases unless null; each block has
        // `BLOCK` columns of quants, and words of the rows.
        unsafe {
            // Two streams more, of which the processor foresees less than of one long one.
            let ahead = group * LANES * BYTES[tile.kind as usize] + scales_ahead;
            _mm_prefetch::<_MM_HINT_T0>(tile.scales.wrapping_add(ahead).cast());
            _mm_prefetch::<_MM_HINT_T0>(tile.biases.wrapping_add(ahead).cast());
            let scale = stored(tile.kind, tile.scales, group * LANES);
            let bias = if tile.biases.is_null() {
                _mm512_mul_ps(scale, minus_zero)
            } else {
                stored(tile.kind, tile.biases, group * LANES)
            };
            for _ in 0..tile.blocks_per_group {
                let lines = if NIBBLE { BLOCK / 8 } else { BLOCK / 4 };
                for line in 0..lines {
                    _mm_prefetch::<_MM_HINT_T0>(quants.wrapping_add(AHEAD + line * 64).cast());
                }
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
                let row_words = BLOCK / 4 * (1 + usize::from(WIDE));
                let scales = words.add(T * row_words).cast::<f32>();
                for_each_row!(row in T {
                    let values = words.add(row * row_words);
                    let mut products = dot::<BLOCK, T>(&weights, values);
                    if WIDE {
                        let lower = dot::<BLOCK, T>(&weights, values.add(BLOCK / 4));
                        products = _mm512_add_epi32(_mm512_slli_epi32::<7>(products), lower);
                    }
                    let scaled = _mm512_mul_ps(
                        _mm512_cvtepi32_ps(products),
                        _mm512_set1_ps(*scales.add(row)),
                    );
                    let sum = _mm512_set1_ps(*scales.add(T + row));
                    sums[row] = _mm512_fmadd_ps(scaled, scale, sums[row]);
                    sums[row] = _mm512_fmadd_ps(bias, sum, sums[row]);
                });
                words = words.add(T * (row_words + 2));
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

/// Sixteen numbers of a kind that only shows at run time.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,f16c,fma")]
unsafe fn stored(kind: u8, start: *const u8, index: usize) -> __m512 {
    // SAFETY: as the caller's.
    unsafe {
        match kind {
            F16 => numbers::<F16>(start, index),
            BF16 => numbers::<BF16>(start, index),
            _ => numbers::<F32>(start, index),
        }
    }
}
