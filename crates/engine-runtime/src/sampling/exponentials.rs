//! Exponentials of all logits at once, and their sums.

#![expect(
    clippy::inline_always,
    reason = "a function is compiled for wide registers only where it is inlined into the dispatch"
)]

use std::f32::consts::{LN_2, LOG2_E};

use pulp::{Simd, WithSimd};

use super::scan::{BLOCK, LANES, ROWS, padded, reaches};

/// Tokens whose weights are added up in 32 bits.
pub(super) const CHUNK: usize = 4 * BLOCK;
/// Relative error that sums of weights stay below.
const ERROR: f64 = 2e-5;
/// Covers the rounding of an upper bound.
const BOUND_MARGIN: f64 = 1.01;
/// Powers of two below this count as this one, the smallest normal number: nothing beside 1.
const LOWEST: f32 = -126.0;

/// Bounds of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Span {
    /// A sum of numbers of one sign.
    fn near(sum: f64) -> Self {
        let error = sum.abs() * ERROR;
        Self {
            low: sum - error,
            high: sum + error,
        }
    }

    pub(super) fn middle(self) -> f64 {
        f64::midpoint(self.low, self.high)
    }
}

/// Sums over tokens of `weight = exp(score)`, where `score = (logit - top) / temperature` is at most 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Of the weights.
    pub(super) weight: Span,
    /// Of `weight * score`.
    pub(super) score: Span,
}

/// How logits become weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighting {
    top: f32,
    /// Of scores in units of ln 2.
    scale: f32,
}

impl Weighting {
    pub(super) fn new(top: f32, temperature: f32) -> Self {
        Self {
            top,
            scale: LOG2_E / temperature,
        }
    }

    /// The logit of a token with this score.
    fn logit_at(self, score: f32) -> f32 {
        self.top + score * LOG2_E / self.scale
    }

    /// The weight of a token, and the score in units of ln 2.
    #[inline(always)]
    pub(super) fn of(self, logit: f32) -> (f32, f32) {
        let score = (logit - self.top) * self.scale;
        // Also where a temperature next to 0 makes the product NaN.
        let score = if score > LOWEST { score } else { LOWEST };
        (exp2(score), score)
    }
}

/// The sums over the tokens whose logit lies below a border. Scores are left at 0 unless asked for.
#[derive(Debug)]
pub(super) struct SumBlocks<'a, const SCORES: bool> {
    pub(super) logits: &'a [f32],
    /// The largest logit of each column of each block; negative infinity where no token is in play.
    pub(super) maxima: &'a [[f32; LANES]],
    pub(super) weighting: Weighting,
    pub(super) below: f32,
    /// Blocks whose largest logit lies below this are bounded, not summed.
    pub(super) exact_from: f32,
    /// Receives the weight of the summed blocks of each chunk.
    pub(super) weights: &'a mut Vec<f32>,
}

impl<const SCORES: bool> WithSimd for SumBlocks<'_, SCORES> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Sums {
        let (mut weight, mut score) = (0.0_f64, 0.0_f64);
        let mut bound = LaneSums::<false>::default();
        let mut score_bound = LaneSums::<true>::default();
        // The least value of x exp(x) is at -1.
        let least = self.weighting.logit_at(-1.0);
        self.weights.clear();
        let chunks = self.logits.chunks(CHUNK);
        for (chunk, maxima) in chunks.zip(self.maxima.chunks(CHUNK / BLOCK)) {
            let mut sums = LaneSums::<SCORES>::default();
            for (block, maxima) in chunk.chunks(BLOCK).zip(maxima) {
                if !reaches(maxima, self.exact_from.max(f32::MIN)) {
                    bound.add(maxima, self.weighting, f32::INFINITY);
                    if SCORES {
                        let mut limited = *maxima;
                        for maximum in &mut limited {
                            *maximum = maximum.min(least);
                        }
                        score_bound.add(&limited, self.weighting, f32::INFINITY);
                    }
                    continue;
                }
                let (rows, rest) = block.as_chunks::<LANES>();
                for row in rows {
                    sums.add(row, self.weighting, self.below);
                }
                if !rest.is_empty() {
                    sums.add(&padded(rest), self.weighting, self.below);
                }
            }
            let chunk_weight = total(sums.weight);
            self.weights.push(chunk_weight);
            weight += f64::from(chunk_weight);
            if SCORES {
                score += f64::from(total(sums.score) * LN_2);
            }
        }
        let margin = ROWS as f64 * BOUND_MARGIN;
        let mut sums = Sums {
            weight: Span::near(weight),
            score: Span::near(score),
        };
        sums.weight.high += f64::from(total(bound.weight)) * margin;
        sums.score.low += f64::from(total(score_bound.score) * LN_2) * margin;
        sums
    }
}

#[derive(Default)]
struct LaneSums<const SCORES: bool> {
    weight: [f32; LANES],
    /// In units of ln 2.
    score: [f32; LANES],
}

impl<const SCORES: bool> LaneSums<SCORES> {
    #[inline(always)]
    fn add(&mut self, logits: &[f32; LANES], weighting: Weighting, below: f32) {
        for (i, logit) in logits.iter().enumerate() {
            let (weight, score) = weighting.of(*logit);
            let weight = if *logit < below { weight } else { 0.0 };
            self.weight[i] += weight;
            if SCORES {
                self.score[i] += weight * score;
            }
        }
    }
}

/// Halves are added to halves: one after another, each would wait for the last.
#[inline(always)]
pub(super) fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Two to the power of `x` in -126 to 0, to about 3e-7, in steps that the compiler can do for many
/// numbers at once: a power of two times a polynomial (Cody and Waite, 1980, "Software Manual for the
/// Elementary Functions").
#[inline(always)]
fn exp2(x: f32) -> f32 {
    /// Adding it to a small number rounds that to a whole one, in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0;
    /// Of the polynomial with the least relative error (7.5e-8) in -0.5 to 0.5, by Remez' exchange;
    /// the highest power first.
    const COEFFICIENTS: [f32; 6] = [
        1.327_647_2e-3,
        9.675_541e-3,
        5.550_713_3e-2,
        2.402_212e-1,
        6.931_469_7e-1,
        1.0,
    ];
    let shifted = x + ROUNDER;
    let r = x - (shifted - ROUNDER);
    let mut series = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        series = series.mul_add(r, *coefficient);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUNDER.to_bits());
    series * f32::from_bits(exponent.wrapping_add(127) << 23)
}
