//! Tiles of plain numbers, widened to 32 bits on the way.

use std::arch::x86_64::{
    _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::load::{AHEAD, BF16, BYTES, F16, F32, numbers};

use crate::kernels::{LANES, Numbers, PlainTiles};

/// # Safety
/// `tiles.check(rows, out)` must hold.
#[target_feature(enable = "avx2,f16c,fma")]
pub(super) unsafe fn plain(tiles: &PlainTiles<'_>, rows: &[&[f32]], out: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe {
        match tiles.numbers {
            Numbers::F16(bits) => all::<F16>(tiles, bits.as_ptr().cast(), rows, out),
            Numbers::Bf16(bits) => all::<BF16>(tiles, bits.as_ptr().cast(), rows, out),
            Numbers::F32(numbers) => all::<F32>(tiles, numbers.as_ptr().cast(), rows, out),
        }
    }
}

/// # Safety
/// As [`plain`]'s; the numbers are of the kind `KIND`.
#[inline]
#[target_feature(enable = "avx2,f16c,fma")]
unsafe fn all<const KIND: u8>(
    tiles: &PlainTiles<'_>,
    start: *const u8,
    rows: &[&[f32]],
    out: &mut [f32],
) {
    let mut out = out.as_mut_ptr();
    for tile in 0..tiles.tiles() {
        let mut rest = rows;
        // SAFETY: `check` found that there are `columns` times sixteen numbers in each tile, and
        // sixteen numbers of output for each tile and row.
        unsafe {
            let start = start.add(tile * tiles.columns * LANES * BYTES[KIND as usize]);
            while let Some((some, others)) = rest.split_first_chunk::<2>() {
                some_rows::<KIND, _>(start, some, out);
                out = out.add(2 * LANES);
                rest = others;
            }
            if let Some((some, _)) = rest.split_first_chunk::<1>() {
                some_rows::<KIND, _>(start, some, out);
                out = out.add(LANES);
            }
        }
    }
}

/// Even and odd columns are summed apart, so that one row alone does not wait for itself.
///
/// # Safety
/// There are sixteen numbers for each column, and room for `T` rows.
#[inline]
#[target_feature(enable = "avx2,f16c,fma")]
unsafe fn some_rows<const KIND: u8, const T: usize>(
    start: *const u8,
    rows: &[&[f32]; T],
    out: *mut f32,
) {
    let columns = rows[0].len();
    let mut sums = [[[_mm256_setzero_ps(); 2]; 2]; T];
    // SAFETY: columns are below the rows' common length.
    unsafe {
        for column in 0..columns {
            let weights = [
                numbers::<KIND>(start, column * LANES),
                numbers::<KIND>(start, column * LANES + 8),
            ];
            let ahead = column * LANES * BYTES[KIND as usize] + AHEAD;
            _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(ahead).cast());
            for (row, sums) in rows.iter().zip(&mut sums) {
                let x = _mm256_set1_ps(*row.as_ptr().add(column));
                for (sum, weights) in sums[column % 2].iter_mut().zip(weights) {
                    *sum = _mm256_fmadd_ps(weights, x, *sum);
                }
            }
        }
        for (row, [even, odd]) in sums.iter().enumerate() {
            for (half, (even, odd)) in even.iter().zip(odd).enumerate() {
                let out = out.add(row * LANES + half * 8);
                let sum = _mm256_add_ps(*even, *odd);
                _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), sum));
            }
        }
    }
}
