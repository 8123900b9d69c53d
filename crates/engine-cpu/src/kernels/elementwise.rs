//! What is done number by number, written so that LLVM vectorises it for whatever instructions the
//! caller was compiled for.

#![expect(
    clippy::inline_always,
    reason = "the code is compiled for the instructions of whoever calls it"
)]

use super::{
    BlocksMut, LANES, PAGE, PageScores, Precision, QuantizedRows, Softmaxes,
    context::{LOWEST_MAXIMUM, SMALLEST_SCALE, UNIT, WEIGHT},
};

/// Adding it to a number below 2^22 leaves the nearest integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;
/// Below this a block of activations counts as zero: its reciprocal would overflow.
pub(super) const SMALLEST: f32 = 1e-30;
/// The polynomial for `2^x` on `[0, 1]` whose largest relative error is smallest, the highest power
/// first: 7.5e-8 without rounding.
pub(super) const EXP2: [f32; 6] = [
    1.877_576_7e-3,
    8.989_34e-3,
    5.582_631_8e-2,
    2.401_536_1e-1,
    6.931_531e-1,
    0.999_999_94,
];

/// See [`Kernels::quantize`](super::Kernels::quantize).
#[inline(always)]
pub(super) fn quantize(rows: &[f32], columns: usize, out: &mut QuantizedRows) {
    out.resize(rows.len() / columns, columns);
    let size = out.block.len() / LANES;
    let mut out = out.blocks_mut();
    for (row, numbers) in rows.chunks_exact(columns).enumerate() {
        let (lanes, _) = numbers.as_chunks::<LANES>();
        for (block, lanes) in lanes.chunks_exact(size).enumerate() {
            quantize_block(lanes, row, block, &mut out);
        }
    }
}

/// See [`Kernels::quantize_panels`](super::Kernels::quantize_panels).
#[inline(always)]
pub(super) fn quantize_panels(panels: &[f32], out: &mut BlocksMut<'_>) {
    let (rows, size) = (out.form.rows, out.form.block.len() / LANES);
    let (panels, _) = panels.as_chunks::<LANES>();
    for (block, panels) in panels.chunks_exact(rows * size).enumerate() {
        for row in 0..rows {
            let mut lanes = [[0.0; LANES]; 2];
            for (lanes, panel) in lanes.iter_mut().zip(panels.iter().skip(row).step_by(rows)) {
                *lanes = *panel;
            }
            quantize_block(&lanes[..size], row, block, out);
        }
    }
}

#[inline(always)]
fn quantize_block(lanes: &[[f32; LANES]], row: usize, block: usize, out: &mut BlocksMut<'_>) {
    let (most, poison) = magnitude(lanes.iter());
    let precision = out.form.precision;
    let top = precision.largest();
    let inverse = if most > SMALLEST { top / most } else { 0.0 };
    let mut total = [0i32; LANES];
    let mut all = [0i8; 4 * LANES];
    let (values, lower) = all.split_at_mut(lanes.len() * LANES);
    let (value_lanes, _) = values.as_chunks_mut::<LANES>();
    let (lower_lanes, _) = lower.as_chunks_mut::<LANES>();
    for ((lane, values), lower) in lanes.iter().zip(value_lanes).zip(lower_lanes) {
        for i in 0..LANES {
            let rounded = round(lane[i] * inverse);
            total[i] += rounded;
            if precision == Precision::Fifteen {
                let upper = (rounded + 64) >> 7;
                values[i] = upper as i8;
                lower[i] = (rounded - (upper << 7)) as i8;
            } else {
                values[i] = rounded as i8;
            }
        }
    }
    let total = fold(total, |a, b| a + b);
    let scale = if most > SMALLEST { most / top } else { 0.0 };
    let scale = scale + poison;
    out.set(row, block, &all, scale, scale * total as f32);
}

/// The largest magnitude, and what makes a scale NaN if any of the numbers is not finite: 0 otherwise.
#[inline(always)]
fn magnitude<'a>(lanes: impl Iterator<Item = &'a [f32; LANES]>) -> (f32, f32) {
    let mut largest = [0f32; LANES];
    let mut poison = [0f32; LANES];
    for lane in lanes {
        for i in 0..LANES {
            let magnitude = lane[i].abs();
            largest[i] = if magnitude > largest[i] {
                magnitude
            } else {
                largest[i]
            };
            poison[i] += lane[i] * 0.0;
        }
    }
    (
        fold(largest, |a, b| if a > b { a } else { b }),
        total(poison),
    )
}

/// Joins all lanes, halves with halves.
#[inline(always)]
fn fold<N: Copy>(mut lanes: [N; LANES], join: impl Fn(N, N) -> N) -> N {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The nearest integer, ties to even; garbage beyond 2^22.
#[inline(always)]
fn round(x: f32) -> i32 {
    ((x + ROUNDER).to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32)
}

/// See [`Kernels::rms_norm`](super::Kernels::rms_norm).
#[inline(always)]
pub(super) fn rms_norm(row: &mut [f32], weight: &[f32], eps: f32) {
    let factor = (sum_of_squares(row) / row.len() as f32 + eps)
        .sqrt()
        .recip();
    for (x, weight) in row.iter_mut().zip(weight) {
        *x = *x * factor * weight;
    }
}

#[inline(always)]
fn sum_of_squares(row: &[f32]) -> f32 {
    let (lanes, rest) = row.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for lane in lanes {
        for i in 0..LANES {
            sums[i] += lane[i] * lane[i];
        }
    }
    let rest: f32 = rest.iter().map(|x| x * x).sum();
    fold(sums, |a, b| a + b) + rest
}

/// See [`Kernels::silu_mul`](super::Kernels::silu_mul).
#[inline(always)]
pub(super) fn silu_mul(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

/// See [`Kernels::round`](super::Kernels::round).
#[inline(always)]
pub(super) fn round_row(numbers: &[f32], most: f32, out: &mut [i16]) -> f32 {
    let (lanes, rest) = numbers.as_chunks::<LANES>();
    let mut last = [0f32; LANES];
    last[..rest.len()].copy_from_slice(rest);
    let (largest, poison) = magnitude(lanes.iter().chain([&last]));
    let scale = largest / most;
    let scale = if scale > SMALLEST_SCALE {
        scale
    } else {
        SMALLEST_SCALE
    };
    let scale = scale + poison;
    if scale.is_nan() {
        out.fill(0);
        return scale;
    }
    let inverse = scale.recip();
    for (x, out) in numbers.iter().zip(out) {
        *out = round(x * inverse) as i16;
    }
    scale
}

/// See [`Kernels::softmax_step`](super::Kernels::softmax_step).
#[inline(always)]
pub(super) fn softmax_step(page: &PageScores<'_>, softmaxes: &mut Softmaxes) {
    softmaxes.check(page);
    let mut exponents = [0f32; PAGE];
    let mut factors = [0f32; PAGE];
    let mut inverses = [0f32; PAGE];
    for (i, scale) in page.scales.iter().enumerate() {
        let exponent = (scale.to_bits() >> 23 & 255) as i32;
        let inverse = f32::from_bits(((254 - exponent).max(0) as u32) << 23);
        exponents[i] = (exponent - 127) as f32;
        factors[i] = scale * inverse * WEIGHT;
        // A scale that is no number stays none.
        inverses[i] = inverse + scale * 0.0;
    }
    let (scores, _) = page.scores.as_chunks::<PAGE>();
    let (weights, _) = softmaxes.weights.as_chunks_mut::<PAGE>();
    for (row, (scores, weights)) in scores.iter().zip(weights).enumerate() {
        let seen = page.seen[row].0;
        let is_seen = |i: usize| seen >> i & 1 == 1;
        let mut shifted = [0f32; PAGE];
        let mut most = [LOWEST_MAXIMUM; LANES];
        for first in (0..PAGE).step_by(LANES) {
            for (lane, most) in most.iter_mut().enumerate() {
                let i = first + lane;
                let x = if is_seen(i) {
                    scores[i] + exponents[i]
                } else {
                    f32::NEG_INFINITY
                };
                shifted[i] = x;
                *most = if x > *most { x } else { *most };
            }
        }
        let most = fold(most, |a, b| if a > b { a } else { b }).ceil();
        let mut sums = [0f32; LANES];
        for first in (0..PAGE).step_by(LANES) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let i = first + lane;
                let weight = exp2(shifted[i] - most);
                let (part, rounded) = (weight * inverses[i], round(weight * factors[i]));
                *sum += if is_seen(i) { part } else { 0.0 };
                weights[i] = if is_seen(i) { rounded as i16 } else { 0 };
            }
        }
        let before = softmaxes.maxima[row];
        let max = if most > before { most } else { before };
        let (shrink, grow) = (power_of_two(before - max), power_of_two(most - max));
        for (before, sum) in softmaxes.sums[row].iter_mut().zip(sums) {
            *before = *before * shrink + sum * grow;
        }
        softmaxes.maxima[row] = max;
        softmaxes.shrink[row] = shrink;
        softmaxes.units[row] = grow * UNIT;
    }
}

/// `2^n` of an integer up to 0: 0 where that is no normal number.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    let n = if n > -127.0 { n } else { -127.0 };
    f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// The sum of all lanes.
#[inline(always)]
pub(super) fn total(lanes: [f32; LANES]) -> f32 {
    fold(lanes, |a, b| a + b)
}

/// `2^x` for `x` up to 0, to three units in the last place and never above 1; 0 below -126.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    const LOWEST: f32 = -126.0;
    let within = if x < LOWEST { LOWEST } else { x };
    // The integer below; at integers it may be the one before.
    let n = within - 0.5 + ROUNDER - ROUNDER;
    let r = within - n;
    let mut y = EXP2[0];
    for coefficient in &EXP2[1..] {
        y = y * r + coefficient;
    }
    let power = f32::from_bits(((n as i32 + 127).max(0) as u32) << 23);
    if x < LOWEST { 0.0 } else { y * power }
}

/// `e^x` to about one unit in the last place; 0 below -87 and infinity above 88.
///
/// After the reduction `x = n ln 2 + r` of Cody and Waite, the polynomial for `e^r` is that of
/// Cephes' `expf`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.3;
    let within = if x < LOWEST { LOWEST } else { x };
    let within = if within > HIGHEST { HIGHEST } else { within };
    let shifted = within * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = within - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut y = 1.987_569_1e-4;
    y = y * r + 1.398_199_9e-3;
    y = y * r + 8.333_452e-3;
    y = y * r + 4.166_579_6e-2;
    y = y * r + 1.666_666_5e-1;
    y = y * r + 0.5;
    y = y * r * r + r + 1.0;
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let power = f32::from_bits((exponent.wrapping_add(127) << 23) as u32);
    let result = y * power;
    let result = if x < LOWEST { 0.0 } else { result };
    if x > HIGHEST { f32::INFINITY } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_standard_library_to_two_units_in_the_last_place() {
        for step in -87_000..=88_000 {
            let x = step as f32 * 1e-3;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (ours - exact).abs() <= exact * 2.5e-7,
                "exp({x}) is {ours}, not {exact}"
            );
        }
    }

    #[test]
    fn exp_of_what_is_no_number_or_out_of_range() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn exp2_is_that_of_the_standard_library_to_three_units_in_the_last_place() {
        for step in -1_259_990..=0 {
            let x = step as f32 * 1e-4;
            let (ours, exact) = (f64::from(exp2(x)), f64::from(x).exp2());
            assert!(
                (ours - exact).abs() <= exact * 3.6e-7 && ours <= 1.0,
                "exp2({x}) is {ours}, not {exact}"
            );
        }
        for x in [-126.5, -1e30, f32::NEG_INFINITY] {
            assert_eq!(exp2(x), 0.0, "{x}");
        }
        assert!(exp2(f32::NAN).is_nan());
    }

    #[test]
    fn rounding_is_to_even() {
        for (x, rounded) in [(0.5, 0), (1.5, 2), (-0.5, 0), (-1.5, -2), (126.6, 127)] {
            assert_eq!(round(x), rounded, "{x}");
        }
    }
}
