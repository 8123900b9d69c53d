//! Attention over one page of one head, for several queries at a time.

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps,
    _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_si256,
    _mm256_storeu_ps,
};

use crate::kernels::{
    ContextPage, Integers, KeyLanes, PAGE, RoundedQueries, Softmaxes, ValueRows,
    context::{DIMS_TOGETHER, Lines},
};

/// Numbers in a register.
const NUMBERS: usize = 8;

const SIXTEEN: u8 = 2;
const EIGHT: u8 = 1;

/// Eight pairs of integers, of `KIND` bytes each, from the pair at `index` on.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn pairs<const KIND: u8>(start: *const u8, index: usize) -> __m256i {
    // SAFETY: as the caller's.
    unsafe {
        let at = start.add(index * 2 * KIND as usize);
        match KIND {
            EIGHT => _mm256_cvtepi8_epi16(_mm_loadu_si128(at.cast())),
            _ => _mm256_loadu_si256(at.cast()),
        }
    }
}

/// # Safety
/// `keys.check(queries, out)` must hold.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn scores(
    queries: &RoundedQueries,
    keys: &KeyLanes<'_>,
    next: Option<&ContextPage<'_>>,
    out: &mut [f32],
) {
    // SAFETY: as the caller's.
    unsafe {
        match keys.page.integers {
            Integers::Sixteen(integers) => {
                all_scores::<SIXTEEN>(queries, keys, integers.as_ptr().cast(), next, out);
            }
            Integers::Eight(integers) => {
                all_scores::<EIGHT>(queries, keys, integers.as_ptr().cast(), next, out);
            }
        }
    }
}

/// # Safety
/// As [`scores`]'; the page is of the kind `KIND`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn all_scores<const KIND: u8>(
    queries: &RoundedQueries,
    keys: &KeyLanes<'_>,
    page: *const u8,
    next: Option<&ContextPage<'_>>,
    out: &mut [f32],
) {
    let head_dim = keys.head_dim;
    let key_scales = keys.page.scales.as_ptr();
    let mut next = Lines::of(next);
    let mut query = queries.integers.as_ptr();
    let mut scales = &queries.scales[..];
    let mut out = out.as_mut_ptr();
    // SAFETY: `check` found a row of `head_dim` and a row of output for each query.
    unsafe {
        while !scales.is_empty() {
            let taken = match scales.len() {
                4.. => {
                    page_scores::<KIND, 4, 2>(
                        query, scales, head_dim, page, key_scales, &mut next, out,
                    );
                    4
                }
                3 => {
                    page_scores::<KIND, 3, 2>(
                        query, scales, head_dim, page, key_scales, &mut next, out,
                    );
                    3
                }
                2 => {
                    page_scores::<KIND, 2, 4>(
                        query, scales, head_dim, page, key_scales, &mut next, out,
                    );
                    2
                }
                _ => {
                    page_scores::<KIND, 1, 4>(
                        query, scales, head_dim, page, key_scales, &mut next, out,
                    );
                    1
                }
            };
            query = query.add(taken * head_dim);
            out = out.add(taken * PAGE);
            scales = &scales[taken..];
        }
    }
    ask(&mut next, usize::MAX);
}

/// `R` queries, and `P` times eight positions at a time.
///
/// # Safety
/// There are `R` queries with their scales, rows of output, and a page of keys.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn page_scores<const KIND: u8, const R: usize, const P: usize>(
    queries: *const i16,
    scales: &[f32],
    head_dim: usize,
    page: *const u8,
    key_scales: *const f32,
    next: &mut Lines<'_>,
    out: *mut f32,
) {
    for first in (0..PAGE).step_by(P * NUMBERS) {
        for start in (0..head_dim).step_by(DIMS_TOGETHER) {
            let end = head_dim.min(start + DIMS_TOGETHER);
            let mut sums = [[_mm256_setzero_si256(); P]; R];
            // SAFETY: positions are below `PAGE`, dimensions below `head_dim`, queries below `R`.
            unsafe {
                for pair in start / 2..end / 2 {
                    ask(next, if R < 8 { P } else { 1 });
                    let mut lanes = [_mm256_setzero_si256(); P];
                    for (p, lanes) in lanes.iter_mut().enumerate() {
                        *lanes = pairs::<KIND>(page, pair * PAGE + first + p * NUMBERS);
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let q = two(queries.add(r * head_dim + 2 * pair));
                        for (sum, lanes) in sums.iter_mut().zip(lanes) {
                            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(lanes, q));
                        }
                    }
                }
                for (r, (sums, scale)) in sums.iter().zip(scales).enumerate() {
                    let scale = _mm256_set1_ps(*scale);
                    for (p, sum) in sums.iter().enumerate() {
                        let place = first + p * NUMBERS;
                        let key_scale = _mm256_loadu_ps(key_scales.add(place));
                        let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(*sum), key_scale);
                        let out = out.add(r * PAGE + place);
                        let score = if start == 0 {
                            _mm256_mul_ps(sum, scale)
                        } else {
                            _mm256_add_ps(_mm256_loadu_ps(out), _mm256_mul_ps(sum, scale))
                        };
                        _mm256_storeu_ps(out, score);
                    }
                }
            }
        }
    }
}

/// Asks the memory for some of what comes next.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn ask(next: &mut Lines<'_>, lines: usize) {
    for line in next.take(lines) {
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
}

/// Two integers in every lane.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn two(at: *const i16) -> __m256i {
    // SAFETY: as the caller's.
    _mm256_set1_epi32(unsafe { at.cast::<i32>().read_unaligned() })
}

/// # Safety
/// `values.check(softmaxes, out)` must hold, and heads have whole registers.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn accumulate(
    softmaxes: &Softmaxes,
    values: &ValueRows<'_>,
    next: Option<&ContextPage<'_>>,
    out: &mut [f32],
) {
    // SAFETY: as the caller's.
    unsafe {
        match values.page.integers {
            Integers::Sixteen(integers) => {
                all_values::<SIXTEEN>(softmaxes, values, integers.as_ptr().cast(), next, out);
            }
            Integers::Eight(integers) => {
                all_values::<EIGHT>(softmaxes, values, integers.as_ptr().cast(), next, out);
            }
        }
    }
}

/// # Safety
/// As [`accumulate`]'s; the page is of the kind `KIND`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn all_values<const KIND: u8>(
    softmaxes: &Softmaxes,
    values: &ValueRows<'_>,
    page: *const u8,
    next: Option<&ContextPage<'_>>,
    out: &mut [f32],
) {
    // What is not used of the last pair has a weight of 0.
    let (head_dim, used) = (values.head_dim, values.used.div_ceil(2));
    let mut next = Lines::of(next);
    let mut weights = softmaxes.weights.as_ptr();
    let mut factors = (&softmaxes.shrink[..], &softmaxes.units[..]);
    let mut out = out.as_mut_ptr();
    // SAFETY: `check` found a row of weights and of output for each factor.
    unsafe {
        while !factors.1.is_empty() {
            let taken = match factors.1.len() {
                4.. => {
                    rows_of_values::<KIND, 4, 2>(
                        weights, factors, head_dim, used, page, &mut next, out,
                    );
                    4
                }
                3 => {
                    rows_of_values::<KIND, 3, 2>(
                        weights, factors, head_dim, used, page, &mut next, out,
                    );
                    3
                }
                2 => {
                    rows_of_values::<KIND, 2, 4>(
                        weights, factors, head_dim, used, page, &mut next, out,
                    );
                    2
                }
                _ => {
                    rows_of_values::<KIND, 1, 4>(
                        weights, factors, head_dim, used, page, &mut next, out,
                    );
                    1
                }
            };
            weights = weights.add(taken * PAGE);
            out = out.add(taken * head_dim);
            factors = (&factors.0[taken..], &factors.1[taken..]);
        }
    }
    ask(&mut next, usize::MAX);
}

/// `R` queries, `D` registers of dimensions at a time, then one at a time.
///
/// # Safety
/// There are `R` factors, rows of weights and of output, and `used` pairs of a page of values.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_of_values<const KIND: u8, const R: usize, const D: usize>(
    weights: *const i16,
    factors: (&[f32], &[f32]),
    head_dim: usize,
    used: usize,
    page: *const u8,
    next: &mut Lines<'_>,
    out: *mut f32,
) {
    let mut dim = 0;
    // SAFETY: dimensions are below `head_dim`.
    unsafe {
        while dim + D * NUMBERS <= head_dim {
            some_dims::<KIND, R, D>(weights, factors, (head_dim, used), page, next, out, dim);
            dim += D * NUMBERS;
        }
        while dim < head_dim {
            some_dims::<KIND, R, 1>(weights, factors, (head_dim, used), page, next, out, dim);
            dim += NUMBERS;
        }
    }
}

/// # Safety
/// As [`rows_of_values`]', and there are `D` registers of dimensions from `dim` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn some_dims<const KIND: u8, const R: usize, const D: usize>(
    weights: *const i16,
    factors: (&[f32], &[f32]),
    (head_dim, used): (usize, usize),
    page: *const u8,
    next: &mut Lines<'_>,
    out: *mut f32,
    dim: usize,
) {
    let mut sums = [[_mm256_setzero_si256(); D]; R];
    // SAFETY: as the caller's.
    unsafe {
        for pair in 0..used {
            ask(next, if R < 8 { D } else { 1 });
            let mut lanes = [_mm256_setzero_si256(); D];
            for (d, lanes) in lanes.iter_mut().enumerate() {
                *lanes = pairs::<KIND>(page, pair * head_dim + dim + d * NUMBERS);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = two(weights.add(r * PAGE + 2 * pair));
                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(lanes, weight));
                }
            }
        }
        let factors = factors.0.iter().zip(factors.1);
        for (r, (sums, (shrink, unit))) in sums.iter().zip(factors).enumerate() {
            let (shrink, unit) = (_mm256_set1_ps(*shrink), _mm256_set1_ps(*unit));
            for (d, sum) in sums.iter().enumerate() {
                let out = out.add(r * head_dim + dim + d * NUMBERS);
                let before = _mm256_mul_ps(_mm256_loadu_ps(out), shrink);
                _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_cvtepi32_ps(*sum), unit, before));
            }
        }
    }
}
