//! Steps of the softmax: a page of sixty-four positions, up to four queries at a time.

use std::arch::x86_64::{
    __m128, __m512, __m512i, _mm_add_epi32, _mm_castsi128_ps, _mm_ceil_ps, _mm_cvtps_epi32,
    _mm_loadu_ps, _mm_max_ps, _mm_mul_ps, _mm_set1_epi32, _mm_set1_ps, _mm_slli_epi32,
    _mm_storeu_ps, _mm_sub_ps, _mm512_castps512_ps128, _mm512_fmadd_ps, _mm512_getexp_ps,
    _mm512_getmant_ps, _mm512_loadu_ps, _mm512_mask_add_ps, _mm512_mask3_fmadd_ps,
    _mm512_maskz_cvtps_epi32, _mm512_max_ps, _mm512_mul_ps, _mm512_packs_epi32,
    _mm512_permutexvar_epi64, _mm512_reduce_ps, _mm512_scalef_ps, _mm512_set_epi64, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_f32x4, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_sub_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};

use crate::kernels::{
    LANES, PAGE, PageScores, Softmaxes,
    context::{LOWEST_MAXIMUM, UNIT, WEIGHT},
    elementwise::EXP2,
};

const REGISTERS: usize = PAGE / LANES;
/// Queries whose largest exponents are found together.
const TOGETHER: usize = 4;

/// What a page's values are scaled by.
#[derive(Clone, Copy)]
struct Scales {
    exponents: [__m512; REGISTERS],
    /// The mantissas, times a weight of 1.
    factors: [__m512; REGISTERS],
    /// The powers of two that take the exponents back.
    inverses: [__m512; REGISTERS],
}

/// # Safety
/// `softmaxes.check(page)` must hold.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn softmax_step(page: &PageScores<'_>, softmaxes: &mut Softmaxes) {
    // SAFETY: `check` found as many scales as a page has positions, and that there are as many of
    // everything as there are queries.
    unsafe {
        let scales = scales(page.scales);
        let queries = page.seen.len();
        let mut first = 0;
        while first < queries {
            match queries - first {
                TOGETHER.. => some_queries::<TOGETHER>(page, &scales, first, softmaxes),
                3 => some_queries::<3>(page, &scales, first, softmaxes),
                2 => some_queries::<2>(page, &scales, first, softmaxes),
                _ => some_queries::<1>(page, &scales, first, softmaxes),
            }
            first += TOGETHER;
        }
    }
}

/// # Safety
/// There are as many scales as positions in a page.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn scales(scales: &[f32]) -> Scales {
    let zero = _mm512_setzero_ps();
    let mut all = Scales {
        exponents: [zero; REGISTERS],
        factors: [zero; REGISTERS],
        inverses: [zero; REGISTERS],
    };
    for index in 0..REGISTERS {
        // SAFETY: as the caller's.
        let scale = unsafe { _mm512_loadu_ps(scales.as_ptr().add(index * LANES)) };
        let exponent = _mm512_getexp_ps(scale);
        // Mantissas from 1 to 2.
        let mantissa = _mm512_getmant_ps::<0, 0>(scale);
        all.exponents[index] = exponent;
        all.factors[index] = _mm512_mul_ps(mantissa, _mm512_set1_ps(WEIGHT));
        all.inverses[index] = _mm512_scalef_ps(_mm512_set1_ps(1.0), _mm512_sub_ps(zero, exponent));
    }
    all
}

/// # Safety
/// As [`softmax_step`]'s, and there are `R` queries from `first` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn some_queries<const R: usize>(
    page: &PageScores<'_>,
    scales: &Scales,
    first: usize,
    softmaxes: &mut Softmaxes,
) {
    let unseen = _mm512_set1_ps(f32::NEG_INFINITY);
    let mut shifted = [[unseen; REGISTERS]; R];
    let mut masks = [0; R];
    let mut most = [_mm512_set1_ps(LOWEST_MAXIMUM); TOGETHER];
    for r in 0..R {
        masks[r] = page.seen[first + r].0;
        for (index, shifted) in shifted[r].iter_mut().enumerate() {
            let place = (first + r) * PAGE + index * LANES;
            // SAFETY: there is a row of scores for each query.
            let scores = unsafe { _mm512_loadu_ps(page.scores.as_ptr().add(place)) };
            let mask = part(masks[r], index);
            *shifted = _mm512_mask_add_ps(unseen, mask, scores, scales.exponents[index]);
            // With the number second, what is no number is passed over: its sum shows it.
            most[r] = _mm512_max_ps(*shifted, most[r]);
        }
    }
    let most = _mm_ceil_ps(maxima(most));
    let before = four(&softmaxes.maxima[first..first + R]);
    let max = _mm_max_ps(most, before);
    let shrink = powers_of_two(_mm_sub_ps(before, max));
    let grow = powers_of_two(_mm_sub_ps(most, max));
    let unit = _mm_mul_ps(grow, _mm_set1_ps(UNIT));
    let [max, unit, shrink, grow, most] = [max, unit, shrink, grow, most].map(|x| numbers(x));
    softmaxes.maxima[first..first + R].copy_from_slice(&max[..R]);
    softmaxes.units[first..first + R].copy_from_slice(&unit[..R]);
    softmaxes.shrink[first..first + R].copy_from_slice(&shrink[..R]);
    for r in 0..R {
        let most = _mm512_set1_ps(most[r]);
        let mut sums = _mm512_setzero_ps();
        let mut rounded = [_mm512_setzero_si512(); REGISTERS];
        for (index, shifted) in shifted[r].iter().enumerate() {
            let weight = exp2(_mm512_sub_ps(*shifted, most));
            let mask = part(masks[r], index);
            sums = _mm512_mask3_fmadd_ps(weight, scales.inverses[index], sums, mask);
            let scaled = _mm512_mul_ps(weight, scales.factors[index]);
            rounded[index] = _mm512_maskz_cvtps_epi32(mask, scaled);
        }
        let place = (first + r) * PAGE;
        // SAFETY: there is a row of weights for each query.
        unsafe {
            let to = softmaxes.weights.as_mut_ptr().add(place);
            let [a, b, c, d] = rounded;
            _mm512_storeu_si512(to.cast(), narrowed(a, b));
            _mm512_storeu_si512(to.add(2 * LANES).cast(), narrowed(c, d));
        }
        let (shrink, grow) = (_mm512_set1_ps(shrink[r]), _mm512_set1_ps(grow[r]));
        let all = softmaxes.sums[first + r].as_mut_ptr();
        // SAFETY: there are sixteen sums.
        unsafe {
            let before = _mm512_mul_ps(_mm512_loadu_ps(all), shrink);
            _mm512_storeu_ps(all, _mm512_fmadd_ps(sums, grow, before));
        }
    }
}

/// Up to four numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn four(numbers: &[f32]) -> __m128 {
    let mut four = [0.0; TOGETHER];
    four[..numbers.len()].copy_from_slice(numbers);
    // SAFETY: there are four.
    unsafe { _mm_loadu_ps(four.as_ptr()) }
}

/// The reverse of `four`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn numbers(four: __m128) -> [f32; TOGETHER] {
    let mut numbers = [0.0; TOGETHER];
    // SAFETY: there is room for four.
    unsafe { _mm_storeu_ps(numbers.as_mut_ptr(), four) };
    numbers
}

/// Thirty-two integers in sixteen bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn narrowed(a: __m512i, b: __m512i) -> __m512i {
    // Four of the one and four of the other in turns.
    let turns = _mm512_packs_epi32(a, b);
    _mm512_permutexvar_epi64(_mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0), turns)
}

/// The bits of sixteen positions.
fn part(mask: u64, index: usize) -> u16 {
    (mask >> (index * LANES)) as u16
}

/// The largest number of each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn maxima([a, b, c, d]: [__m512; TOGETHER]) -> __m128 {
    // Two of the four numbers of a lane of 128 bits, in turns those of the one and of the other.
    let ac = _mm512_max_ps(_mm512_unpacklo_ps(a, c), _mm512_unpackhi_ps(a, c));
    let bd = _mm512_max_ps(_mm512_unpacklo_ps(b, d), _mm512_unpackhi_ps(b, d));
    // One number of each of the four.
    let all = _mm512_max_ps(_mm512_unpacklo_ps(ac, bd), _mm512_unpackhi_ps(ac, bd));
    let halves = _mm512_max_ps(all, _mm512_shuffle_f32x4::<0b01_00_11_10>(all, all));
    let quarters = _mm512_shuffle_f32x4::<0b10_11_00_01>(halves, halves);
    _mm512_castps512_ps128(_mm512_max_ps(halves, quarters))
}

/// `2^n` of integers up to 0: 0 where that is no normal number.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn powers_of_two(n: __m128) -> __m128 {
    let n = _mm_cvtps_epi32(_mm_max_ps(n, _mm_set1_ps(-127.0)));
    _mm_castsi128_ps(_mm_slli_epi32::<23>(_mm_add_epi32(n, _mm_set1_epi32(127))))
}

/// `2^x` as [`elementwise::exp2`](crate::kernels::elementwise::exp2) has it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn exp2(x: __m512) -> __m512 {
    // What is above the integer below, which is what `scalef` takes of `x`.
    let r = _mm512_reduce_ps::<0b1001>(x);
    let mut y = _mm512_set1_ps(EXP2[0]);
    for coefficient in &EXP2[1..] {
        y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(*coefficient));
    }
    _mm512_scalef_ps(y, x)
}
