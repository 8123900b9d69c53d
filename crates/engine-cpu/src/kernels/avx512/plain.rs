//! Tiles of plain numbers, widened to 32 bits on the way.

use std::arch::x86_64::{
    _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::load::{AHEAD, BF16, BYTES, F16, F32, numbers};

use crate::kernels::{LANES, Numbers, PlainTiles};

/// # Safety
/// `tiles.check(rows, out)` must hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
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
            while let Some((some, others)) = rest.split_first_chunk::<8>() {
                some_rows::<KIND, _>(start, some, out);
                out = out.add(8 * LANES);
                rest = others;
            }
            if let Some((some, others)) = rest.split_first_chunk::<4>() {
                some_rows::<KIND, _>(start, some, out);
                out = out.add(4 * LANES);
                rest = others;
            }
            while let Some((some, others)) = rest.split_first_chunk::<1>() {
                some_rows::<KIND, _>(start, some, out);
                out = out.add(LANES);
                rest = others;
            }
        }
    }
}

/// Even and odd columns are summed apart, so that one row alone does not wait for itself.
///
/// # Safety
/// There are sixteen numbers for each column, and room for `T` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
unsafe fn some_rows<const KIND: u8, const T: usize>(
    start: *const u8,
    rows: &[&[f32]; T],
    out: *mut f32,
) {
    let columns = rows[0].len();
    let mut sums = [[_mm512_setzero_ps(); 2]; T];
    // SAFETY: columns are below the rows' common length.
    unsafe {
        for column in 0..columns {
            let weights = numbers::<KIND>(start, column * LANES);
            let ahead = column * LANES * BYTES[KIND as usize] + AHEAD;
            _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(ahead).cast());
            for (row, sums) in rows.iter().zip(&mut sums) {
                let x = _mm512_set1_ps(*row.as_ptr().add(column));
                sums[column % 2] = _mm512_fmadd_ps(weights, x, sums[column % 2]);
            }
        }
        for (row, [even, odd]) in sums.iter().enumerate() {
            let out = out.add(row * LANES);
            let sum = _mm512_add_ps(*even, *odd);
            _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), sum));
        }
    }
}
