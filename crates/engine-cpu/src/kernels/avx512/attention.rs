//! Attention over one page of one head, for several queries at a time.

use std::arch::x86_64::{
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::load::{F16, I8, numbers};

use crate::kernels::{ContextPage, KeyLanes, LANES, PAGE, ValueRows};

/// # Safety
/// `keys.check(queries, out)` must hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
pub(super) unsafe fn scores(queries: &[f32], keys: &KeyLanes<'_>, out: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe {
        match keys.page {
            ContextPage::F16(bits) => {
                all_scores::<F16>(queries, keys.head_dim, bits.as_ptr().cast(), None, out);
            }
            ContextPage::Q8(values, scales) => {
                let scales = Some(scales.as_ptr());
                all_scores::<I8>(queries, keys.head_dim, values.as_ptr().cast(), scales, out);
            }
        }
    }
}

/// # Safety
/// As [`scores`]'; the page is of the kind `KIND`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
unsafe fn all_scores<const KIND: u8>(
    queries: &[f32],
    head_dim: usize,
    keys: *const u8,
    scales: Option<*const f32>,
    out: &mut [f32],
) {
    let mut left = queries.len() / head_dim;
    let mut queries = queries.as_ptr();
    let mut out = out.as_mut_ptr();
    // SAFETY: `check` found a row of `head_dim` and a row of output for each query.
    unsafe {
        while left > 0 {
            let taken = match left {
                12.. => {
                    page_scores::<KIND, 12, 2>(queries, head_dim, keys, scales, out);
                    12
                }
                8.. => {
                    page_scores::<KIND, 8, 2>(queries, head_dim, keys, scales, out);
                    8
                }
                4.. => {
                    page_scores::<KIND, 4, 4>(queries, head_dim, keys, scales, out);
                    4
                }
                3 => {
                    page_scores::<KIND, 3, 4>(queries, head_dim, keys, scales, out);
                    3
                }
                2 => {
                    page_scores::<KIND, 2, 4>(queries, head_dim, keys, scales, out);
                    2
                }
                _ => {
                    page_scores::<KIND, 1, 4>(queries, head_dim, keys, scales, out);
                    1
                }
            };
            queries = queries.add(taken * head_dim);
            out = out.add(taken * PAGE);
            left -= taken;
        }
    }
}

/// `R` queries, and `P` times sixteen positions at a time.
///
/// # Safety
/// There are `R` queries, rows of output, and a page of keys.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
unsafe fn page_scores<const KIND: u8, const R: usize, const P: usize>(
    queries: *const f32,
    head_dim: usize,
    keys: *const u8,
    scales: Option<*const f32>,
    out: *mut f32,
) {
    for first in (0..PAGE).step_by(P * LANES) {
        let mut sums = [[_mm512_setzero_ps(); P]; R];
        // SAFETY: positions are below `PAGE`, dimensions below `head_dim`, queries below `R`.
        unsafe {
            for dim in 0..head_dim {
                let mut lanes = [_mm512_setzero_ps(); P];
                for (p, lanes) in lanes.iter_mut().enumerate() {
                    *lanes = numbers::<KIND>(keys, dim * PAGE + first + p * LANES);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let q = _mm512_set1_ps(*queries.add(r * head_dim + dim));
                    for (sum, lanes) in sums.iter_mut().zip(lanes) {
                        *sum = _mm512_fmadd_ps(q, lanes, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    let place = first + p * LANES;
                    let sum = match scales {
                        None => *sum,
                        Some(scales) => _mm512_mul_ps(*sum, _mm512_loadu_ps(scales.add(place))),
                    };
                    _mm512_storeu_ps(out.add(r * PAGE + place), sum);
                }
            }
        }
    }
}

/// # Safety
/// `values.check(weights, shrink, out)` must hold, and heads have whole registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
pub(super) unsafe fn accumulate(
    weights: &[f32],
    shrink: &[f32],
    values: &ValueRows<'_>,
    out: &mut [f32],
) {
    match values.page {
        // SAFETY: as the caller's.
        ContextPage::F16(bits) => unsafe {
            all_values::<F16>(weights, shrink, values, bits.as_ptr().cast(), out);
        },
        ContextPage::Q8(bytes, scales) => {
            let scaled: Vec<f32> = weights
                .chunks_exact(PAGE)
                .flat_map(|row| row.iter().zip(scales).map(|(weight, scale)| weight * scale))
                .collect();
            // SAFETY: as above.
            unsafe { all_values::<I8>(&scaled, shrink, values, bytes.as_ptr().cast(), out) }
        }
    }
}

/// # Safety
/// As [`accumulate`]'s; the page is of the kind `KIND`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
unsafe fn all_values<const KIND: u8>(
    weights: &[f32],
    shrink: &[f32],
    values: &ValueRows<'_>,
    page: *const u8,
    out: &mut [f32],
) {
    let (head_dim, used) = (values.head_dim, values.used);
    let mut weights = weights.as_ptr();
    let mut out = out.as_mut_ptr();
    let mut shrinks = shrink;
    // SAFETY: `check` found a row of weights and of output for each factor.
    unsafe {
        while !shrinks.is_empty() {
            let taken = match shrinks.len() {
                12.. => {
                    rows_of_values::<KIND, 12, 2>(weights, shrinks, head_dim, used, page, out);
                    12
                }
                8.. => {
                    rows_of_values::<KIND, 8, 2>(weights, shrinks, head_dim, used, page, out);
                    8
                }
                4.. => {
                    rows_of_values::<KIND, 4, 4>(weights, shrinks, head_dim, used, page, out);
                    4
                }
                3 => {
                    rows_of_values::<KIND, 3, 4>(weights, shrinks, head_dim, used, page, out);
                    3
                }
                2 => {
                    rows_of_values::<KIND, 2, 4>(weights, shrinks, head_dim, used, page, out);
                    2
                }
                _ => {
                    rows_of_values::<KIND, 1, 4>(weights, shrinks, head_dim, used, page, out);
                    1
                }
            };
            weights = weights.add(taken * PAGE);
            out = out.add(taken * head_dim);
            shrinks = &shrinks[taken..];
        }
    }
}

/// `R` queries, `D` registers of dimensions at a time, then one at a time.
///
/// # Safety
/// There are `R` factors, rows of weights and of output, and a page of values.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
unsafe fn rows_of_values<const KIND: u8, const R: usize, const D: usize>(
    weights: *const f32,
    shrink: &[f32],
    head_dim: usize,
    used: usize,
    page: *const u8,
    out: *mut f32,
) {
    let mut dim = 0;
    // SAFETY: dimensions are below `head_dim`.
    unsafe {
        while dim + D * LANES <= head_dim {
            some_dims::<KIND, R, D>(weights, shrink, head_dim, used, page, out, dim);
            dim += D * LANES;
        }
        while dim < head_dim {
            some_dims::<KIND, R, 1>(weights, shrink, head_dim, used, page, out, dim);
            dim += LANES;
        }
    }
}

/// # Safety
/// As [`rows_of_values`]', and there are `D` registers of dimensions from `dim` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
unsafe fn some_dims<const KIND: u8, const R: usize, const D: usize>(
    weights: *const f32,
    shrink: &[f32],
    head_dim: usize,
    used: usize,
    page: *const u8,
    out: *mut f32,
    dim: usize,
) {
    // SAFETY: as the caller's.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); D]; R];
        for (r, (sums, shrink)) in sums.iter_mut().zip(shrink).enumerate() {
            for (d, sum) in sums.iter_mut().enumerate() {
                let before = _mm512_loadu_ps(out.add(r * head_dim + dim + d * LANES));
                *sum = _mm512_mul_ps(before, _mm512_set1_ps(*shrink));
            }
        }
        for position in 0..used {
            let mut lanes = [_mm512_setzero_ps(); D];
            for (d, lanes) in lanes.iter_mut().enumerate() {
                *lanes = numbers::<KIND>(page, position * head_dim + dim + d * LANES);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = _mm512_set1_ps(*weights.add(r * PAGE + position));
                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                    *sum = _mm512_fmadd_ps(weight, lanes, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (d, sum) in sums.iter().enumerate() {
                _mm512_storeu_ps(out.add(r * head_dim + dim + d * LANES), *sum);
            }
        }
    }
}
