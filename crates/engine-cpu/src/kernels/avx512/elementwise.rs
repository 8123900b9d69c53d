//! What is done number by number outside of attention.

use std::arch::x86_64::{
    __m512, __m512i, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps,
    _mm512_cvtepi32_epi8, _mm512_cvtps_epi32, _mm512_div_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps,
    _mm512_fpclass_ps_mask, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_reduce_max_ps,
    _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_slli_epi32, _mm512_srai_epi32, _mm512_sub_epi32, _mm512_sub_ps,
};

use crate::kernels::{BlocksMut, LANES, Precision, QuantizedRows, elementwise::SMALLEST};

/// Quiet and signalling NaN, and both infinities.
const NOT_FINITE: i32 = 0x01 | 0x80 | 0x08 | 0x10;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn quantize(rows: &[f32], columns: usize, out: &mut QuantizedRows) {
    out.resize(rows.len() / columns, columns);
    let size = out.block.len() / LANES;
    let mut out = out.blocks_mut();
    for (row, numbers) in rows.chunks_exact(columns).enumerate() {
        let (lanes, _) = numbers.as_chunks::<LANES>();
        for (block, lanes) in lanes.chunks_exact(size).enumerate() {
            quantize_block([lanes.first(), lanes.get(1)], row, block, &mut out);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn quantize_panels(panels: &[f32], out: &mut BlocksMut<'_>) {
    let (rows, size) = (out.form.rows, out.form.block.len() / LANES);
    let (panels, _) = panels.as_chunks::<LANES>();
    for (block, panels) in panels.chunks_exact(rows * size).enumerate() {
        for row in 0..rows {
            quantize_block([panels.get(row), panels.get(rows + row)], row, block, out);
        }
    }
}

/// Rounds a block: sixteen or thirty-two numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn quantize_block(
    lanes: [Option<&[f32; LANES]>; 2],
    row: usize,
    block: usize,
    out: &mut BlocksMut<'_>,
) {
    let mut registers = [_mm512_setzero_ps(); 2];
    let mut not_finite = 0;
    for (register, lane) in registers.iter_mut().zip(lanes) {
        if let Some(lane) = lane {
            // SAFETY: there are sixteen numbers.
            *register = unsafe { _mm512_loadu_ps(lane.as_ptr()) };
            not_finite |= _mm512_fpclass_ps_mask::<NOT_FINITE>(*register);
        }
    }
    let largest = _mm512_max_ps(_mm512_abs_ps(registers[1]), _mm512_abs_ps(registers[0]));
    let most = _mm512_reduce_max_ps(largest);
    let precision = out.form.precision;
    let top = precision.largest();
    let inverse = if most > SMALLEST { top / most } else { 0.0 };
    let rounded = registers
        .map(|register| _mm512_cvtps_epi32(_mm512_mul_ps(register, _mm512_set1_ps(inverse))));
    let (words, to_scale, to_sum) = out.block(row, block);
    let (pieces, _) = words.as_chunks_mut::<4>();
    if precision == Precision::Fifteen {
        let half = _mm512_set1_epi32(64);
        let upper = rounded.map(|all| _mm512_srai_epi32::<7>(_mm512_add_epi32(all, half)));
        let (uppers, lowers) = pieces.split_at_mut(pieces.len() / 2);
        write_bytes(upper, uppers);
        let lower = [0, 1].map(|i| _mm512_sub_epi32(rounded[i], _mm512_slli_epi32::<7>(upper[i])));
        write_bytes(lower, lowers);
    } else {
        write_bytes(rounded, pieces);
    }
    let scale = match (not_finite, most > SMALLEST) {
        (0, true) => most / top,
        (0, false) => 0.0,
        _ => f32::NAN,
    };
    let total = _mm512_reduce_add_epi32(_mm512_add_epi32(rounded[0], rounded[1])) as f32;
    *to_scale = scale.to_bits();
    *to_sum = (scale * total).to_bits();
}

/// Writes the low bytes of numbers, sixteen to a piece.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn write_bytes(numbers: [__m512i; 2], pieces: &mut [[u32; 4]]) {
    for (numbers, piece) in numbers.into_iter().zip(pieces) {
        // SAFETY: there is room for sixteen bytes.
        unsafe { _mm_storeu_si128(piece.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(numbers)) };
    }
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
