//! Affine tiles, eight rows at a time.
//!
//! Without `vpdpbusd`, `vpmaddubsw` adds two products in sixteen bits: with weights of up to four
//! bits they fit, so weights of eight bits go through it as two halves.

use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
    _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
    _mm256_slli_epi32, _mm256_srli_epi16, _mm256_storeu_ps,
};

use super::load::{AHEAD, BF16, BYTES, F16, F32, numbers};
use crate::kernels::{AffineTiles, LANES, Numbers, Offset, Precision, QuantizedRows, Width};

/// Bytes of a line, and of the part that belongs to eight rows.
const LINE: usize = 64;
const HALF_LINE: usize = 32;
/// The most columns in a block, and vectors of four columns.
const MOST_VECTORS: usize = 8;

/// Eight rows of a tile, as pointers.
#[derive(Clone, Copy)]
struct HalfTile {
    quants: *const u8,
    /// Of the scales and biases.
    kind: u8,
    scales: *const u8,
    /// Null if the bias is `-zero * scale`.
    biases: *const u8,
    zero: f32,
    groups: usize,
    blocks_per_group: usize,
    block: usize,
}

fn start(numbers: &Numbers<'_>) -> *const u8 {
    match numbers {
        Numbers::F16(bits) | Numbers::Bf16(bits) => bits.as_ptr().cast(),
        Numbers::F32(numbers) => numbers.as_ptr().cast(),
    }
}

/// Eight numbers of a kind that only shows at run time.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "avx2,f16c,fma")]
unsafe fn stored(kind: u8, start: *const u8, index: usize) -> __m256 {
    // SAFETY: as the caller's.
    unsafe {
        match kind {
            F16 => numbers::<F16>(start, index),
            BF16 => numbers::<BF16>(start, index),
            _ => numbers::<F32>(start, index),
        }
    }
}

/// Weights of up to four bits times activations, four of each in every row.
#[inline]
#[target_feature(enable = "avx2,avxvnni,f16c,fma")]
fn nibbles_with_vnni(sums: __m256i, weights: __m256i, values: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(sums, weights, values)
}

/// Weights of eight bits times activations.
#[inline]
#[target_feature(enable = "avx2,avxvnni,f16c,fma")]
fn bytes_with_vnni(sums: __m256i, weights: __m256i, values: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(sums, weights, values)
}

#[inline]
#[target_feature(enable = "avx2,f16c,fma")]
fn nibbles_without_vnni(sums: __m256i, weights: __m256i, values: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(weights, values);
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[inline]
#[target_feature(enable = "avx2,f16c,fma")]
fn bytes_without_vnni(sums: __m256i, weights: __m256i, values: __m256i) -> __m256i {
    let low = _mm256_set1_epi8(15);
    let zero = _mm256_setzero_si256();
    let lower = nibbles_without_vnni(sums, _mm256_and_si256(weights, low), values);
    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(weights), low);
    let upper = nibbles_without_vnni(zero, upper, values);
    _mm256_add_epi32(lower, _mm256_slli_epi32::<4>(upper))
}

/// The same functions for two sets of instructions, each inlined into the next.
macro_rules! kernels {
    ($affine:ident, $module:ident, $features:literal, $nibbles:path, $bytes:path) => {
        /// # Safety
        /// `tiles.check(groups, out)` must hold.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $affine(
            tiles: &AffineTiles<'_>,
            groups: &[&QuantizedRows],
            out: &mut [f32],
        ) {
            // SAFETY: as the caller's; the constant is that of `tiles`.
            unsafe {
                match tiles.width {
                    Width::Nibble => $module::all::<true>(tiles, groups, out),
                    Width::Byte => $module::all::<false>(tiles, groups, out),
                }
            }
        }

        mod $module {
            //! One set.

            use super::*;

            /// # Safety
            /// `tiles.check(groups, out)` must hold, and the constant is that of `tiles`.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn all<const NIBBLE: bool>(
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
                let rows: usize = groups.iter().map(|group| group.rows()).sum();
                let mut out = out.as_mut_ptr();
                for tile in 0..tiles.tiles() {
                    for half in 0..2 {
                        // SAFETY: `check` found that there is a tile of quants, scales and biases
                        // for each number, and sixteen numbers of output for each tile and row.
                        unsafe {
                            let numbers = tile * number_bytes + half * 8 * BYTES[kind as usize];
                            let part = HalfTile {
                                quants: tiles
                                    .quants
                                    .as_ptr()
                                    .add(tile * tile_bytes + half * HALF_LINE),
                                kind,
                                scales: scales.add(numbers),
                                biases: if biases.is_null() {
                                    biases
                                } else {
                                    biases.add(numbers)
                                },
                                zero,
                                groups: tiles.groups(),
                                blocks_per_group: tiles.group / tiles.block.len(),
                                block: tiles.block.len(),
                            };
                            let mut out = out.add(half * 8);
                            for group in groups {
                                let words = group.words().as_ptr();
                                match (group.rows(), group.precision) {
                                    (8, Precision::Eight) => {
                                        half_tile::<NIBBLE, false, 8>(part, words, out);
                                    }
                                    (4, Precision::Eight) => {
                                        half_tile::<NIBBLE, false, 4>(part, words, out);
                                    }
                                    (2, Precision::Eight) => {
                                        half_tile::<NIBBLE, false, 2>(part, words, out);
                                    }
                                    (_, Precision::Eight) => {
                                        half_tile::<NIBBLE, false, 1>(part, words, out);
                                    }
                                    (8, Precision::Fifteen) => {
                                        half_tile::<NIBBLE, true, 8>(part, words, out);
                                    }
                                    (4, Precision::Fifteen) => {
                                        half_tile::<NIBBLE, true, 4>(part, words, out);
                                    }
                                    (2, Precision::Fifteen) => {
                                        half_tile::<NIBBLE, true, 2>(part, words, out);
                                    }
                                    (_, Precision::Fifteen) => {
                                        half_tile::<NIBBLE, true, 1>(part, words, out);
                                    }
                                }
                                out = out.add(group.rows() * LANES);
                            }
                        }
                    }
                    // SAFETY: the tile's output ends here.
                    out = unsafe { out.add(rows * LANES) };
                }
            }

            /// # Safety
            /// As [`all`]'s; `words` are those of `T` rows, and `out` has eight numbers, at steps of
            /// sixteen, for each of them.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn half_tile<const NIBBLE: bool, const WIDE: bool, const T: usize>(
                tile: HalfTile,
                words: *const u32,
                out: *mut f32,
            ) {
                let low = _mm256_set1_epi8(15);
                let minus_zero = _mm256_set1_ps(-tile.zero);
                let mut sums = [_mm256_setzero_ps(); T];
                let mut quants = tile.quants;
                let vectors = tile.block / 4;
                let mut words = words;
                for group in 0..tile.groups {
                    // SAFETY: there are `groups` times sixteen scales, and biases unless null; each
                    // block has its columns of quants, values of each row, a scale and a sum.
                    unsafe {
                        let scale = stored(tile.kind, tile.scales, group * LANES);
                        let bias = if tile.biases.is_null() {
                            _mm256_mul_ps(scale, minus_zero)
                        } else {
                            stored(tile.kind, tile.biases, group * LANES)
                        };
                        for _ in 0..tile.blocks_per_group {
                            let mut weights = [_mm256_setzero_si256(); MOST_VECTORS];
                            let lines = if NIBBLE { vectors / 2 } else { vectors };
                            for line in 0..lines {
                                let ahead = quants.wrapping_add(line * LINE + AHEAD);
                                _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                                let whole = _mm256_loadu_si256(quants.add(line * LINE).cast());
                                if NIBBLE {
                                    weights[2 * line] = _mm256_and_si256(whole, low);
                                    weights[2 * line + 1] =
                                        _mm256_and_si256(_mm256_srli_epi16::<4>(whole), low);
                                } else {
                                    weights[line] = whole;
                                }
                            }
                            quants = quants.add(lines * LINE);
                            let row_words = vectors * (1 + usize::from(WIDE));
                            let scales = words.add(T * row_words).cast::<f32>();
                            for (row, total) in sums.iter_mut().enumerate() {
                                let values = words.add(row * row_words);
                                let dot = |values: *const u32| {
                                    let mut products = _mm256_setzero_si256();
                                    for (i, weights) in weights.iter().enumerate().take(vectors) {
                                        let four = _mm256_set1_epi32(*values.add(i) as i32);
                                        products = if NIBBLE {
                                            $nibbles(products, *weights, four)
                                        } else {
                                            $bytes(products, *weights, four)
                                        };
                                    }
                                    products
                                };
                                let mut products = dot(values);
                                if WIDE {
                                    let lower = dot(values.add(vectors));
                                    products =
                                        _mm256_add_epi32(_mm256_slli_epi32::<7>(products), lower);
                                }
                                let scaled = _mm256_mul_ps(
                                    _mm256_cvtepi32_ps(products),
                                    _mm256_set1_ps(*scales.add(row)),
                                );
                                *total = _mm256_fmadd_ps(scaled, scale, *total);
                                let sum = _mm256_set1_ps(*scales.add(T + row));
                                *total = _mm256_fmadd_ps(bias, sum, *total);
                            }
                            words = words.add(T * (row_words + 2));
                        }
                    }
                }
                for (row, sum) in sums.iter().enumerate() {
                    // SAFETY: there is room for eight numbers of each row.
                    unsafe {
                        let out = out.add(row * LANES);
                        _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), *sum));
                    }
                }
            }
        }
    };
}

kernels!(
    with_vnni,
    vnni,
    "avx2,avxvnni,f16c,fma",
    nibbles_with_vnni,
    bytes_with_vnni
);
kernels!(
    without_vnni,
    plain_avx2,
    "avx2,f16c,fma",
    nibbles_without_vnni,
    bytes_without_vnni
);
