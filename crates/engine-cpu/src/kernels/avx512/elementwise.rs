//! What is done number by number.

use std::arch::x86_64::{
    __m512, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_cvtepi32_epi8,
    _mm512_cvtps_epi32, _mm512_div_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_fpclass_ps_mask,
    _mm512_loadu_ps, _mm512_mask_mov_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_reduce_add_ps,
    _mm512_reduce_max_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srai_epi32,
    _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_ps,
};

use crate::kernels::{
    LANES, PAGE, Precision, QuantizedRows, Seen, SoftmaxState, elementwise::SMALLEST,
};

/// Quiet and signalling NaN, and both infinities.
const NOT_FINITE: i32 = 0x01 | 0x80 | 0x08 | 0x10;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn quantize(rows: &[f32], columns: usize, out: &mut QuantizedRows) {
    out.resize(rows.len() / columns, columns);
    let size = out.block.len();
    for (row, numbers) in rows.chunks_exact(columns).enumerate() {
        for (block, numbers) in numbers.chunks_exact(size).enumerate() {
            quantize_block(numbers, row, block, out);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn quantize_block(numbers: &[f32], row: usize, block: usize, out: &mut QuantizedRows) {
    let (lanes, _) = numbers.as_chunks::<LANES>();
    let mut registers = [_mm512_setzero_ps(); 2];
    let mut largest = _mm512_setzero_ps();
    let mut not_finite = 0;
    for (register, lane) in registers.iter_mut().zip(lanes) {
        // SAFETY: there are sixteen numbers.
        *register = unsafe { _mm512_loadu_ps(lane.as_ptr()) };
        largest = _mm512_max_ps(_mm512_abs_ps(*register), largest);
        not_finite |= _mm512_fpclass_ps_mask::<NOT_FINITE>(*register);
    }
    let most = _mm512_reduce_max_ps(largest);
    let top = out.precision.largest();
    let inverse = if most > SMALLEST { top / most } else { 0.0 };
    let mut all = [0i8; 4 * LANES];
    let (values, lower) = all.split_at_mut(numbers.len());
    let mut total = _mm512_setzero_si512();
    let (value_lanes, _) = values.as_chunks_mut::<LANES>();
    let (lower_lanes, _) = lower.as_chunks_mut::<LANES>();
    for ((register, values), lower) in registers.iter().zip(value_lanes).zip(lower_lanes) {
        let rounded = _mm512_cvtps_epi32(_mm512_mul_ps(*register, _mm512_set1_ps(inverse)));
        total = _mm512_add_epi32(total, rounded);
        let mut bytes = rounded;
        if out.precision == Precision::Fifteen {
            let half = _mm512_set1_epi32(64);
            bytes = _mm512_srai_epi32::<7>(_mm512_add_epi32(rounded, half));
            let rest = _mm512_sub_epi32(rounded, _mm512_slli_epi32::<7>(bytes));
            // SAFETY: there is room for sixteen bytes.
            unsafe { _mm_storeu_si128(lower.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(rest)) };
        }
        // SAFETY: there is room for sixteen bytes.
        unsafe { _mm_storeu_si128(values.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(bytes)) };
    }
    let scale = match (not_finite, most > SMALLEST) {
        (0, true) => most / top,
        (0, false) => 0.0,
        _ => f32::NAN,
    };
    let total = _mm512_reduce_add_epi32(total) as f32;
    out.set(row, block, &all, scale, scale * total);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn silu_mul(gate: &mut [f32], up: &[f32]) {
    let one = _mm512_set1_ps(1.0);
    for (gate, up) in gate.chunks_mut(LANES).zip(up.chunks(LANES)) {
        let mask = mask_of(gate.len().min(up.len()));
        // SAFETY: the mask covers as many numbers as there are in both.
        unsafe {
            let x = _mm512_maskz_loadu_ps(mask, gate.as_ptr());
            let minus = _mm512_sub_ps(_mm512_setzero_ps(), x);
            let activated = _mm512_div_ps(x, _mm512_add_ps(one, exp(minus)));
            let up = _mm512_maskz_loadu_ps(mask, up.as_ptr());
            _mm512_mask_storeu_ps(gate.as_mut_ptr(), mask, _mm512_mul_ps(activated, up));
        }
    }
}

/// The lowest bits, as many as there are numbers.
fn mask_of(numbers: usize) -> u16 {
    ((1u32 << numbers.min(LANES)) - 1) as u16
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn softmax_step(scores: &mut [f32; PAGE], seen: Seen, state: &mut SoftmaxState) -> f32 {
    if seen.start >= seen.end {
        scores.fill(0.0);
        return 1.0;
    }
    let lowest = |count: usize| {
        if count < PAGE {
            (1u64 << count) - 1
        } else {
            u64::MAX
        }
    };
    let mask = lowest(seen.end) & !lowest(seen.start);
    let unseen = _mm512_set1_ps(f32::NEG_INFINITY);
    let (lanes, _) = scores.as_chunks_mut::<LANES>();
    let mut registers = [unseen; PAGE / LANES];
    let mut most = unseen;
    for (index, (register, lane)) in registers.iter_mut().zip(&*lanes).enumerate() {
        let mask = (mask >> (index * LANES)) as u16;
        // SAFETY: there are sixteen numbers.
        let loaded = unsafe { _mm512_loadu_ps(lane.as_ptr()) };
        *register = _mm512_mask_mov_ps(unseen, mask, loaded);
        most = _mm512_max_ps(*register, most);
    }
    let most = _mm512_reduce_max_ps(most);
    let max = if most > state.max { most } else { state.max };
    let mut sum = _mm512_setzero_ps();
    for (register, lane) in registers.iter().zip(lanes) {
        let weight = exp(_mm512_sub_ps(*register, _mm512_set1_ps(max)));
        sum = _mm512_add_ps(sum, weight);
        // SAFETY: there are sixteen numbers.
        unsafe { _mm512_storeu_ps(lane.as_mut_ptr(), weight) };
    }
    let shrink = if max > state.max {
        crate::kernels::elementwise::exp(state.max - max)
    } else {
        1.0
    };
    state.sum = state.sum * shrink + _mm512_reduce_add_ps(sum);
    state.max = max;
    shrink
}

/// `e^x` as [`elementwise::exp`](crate::kernels::elementwise::exp) has it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn exp(x: __m512) -> __m512 {
    // With the number second, NaN passes.
    let x = _mm512_max_ps(_mm512_set1_ps(-150.0), x);
    let x = _mm512_min_ps(_mm512_set1_ps(150.0), x);
    let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693_359_4), x);
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.121_944_4e-4), r);
    let mut y = _mm512_set1_ps(1.987_569_1e-4);
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(coefficient));
    }
    let y = _mm512_fmadd_ps(_mm512_mul_ps(y, r), r, r);
    _mm512_scalef_ps(_mm512_add_ps(y, _mm512_set1_ps(1.0)), n)
}
