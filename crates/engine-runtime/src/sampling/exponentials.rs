//! Exponentials of all logits at once, and their sums.

#![expect(
    clippy::inline_always,
    reason = "a function is compiled for wide registers only where it is inlined into the dispatch"
)]

use std::{
    f32::consts::{LN_2, LOG2_E},
    ops::Range,
};

use pulp::{Simd, WithSimd};

use super::scan::{BLOCK, Blocks, LANES, ROWS, padded};

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
            // Infinite it would make NaN of the likeliest token's score, which is 0.
            scale: (LOG2_E / temperature).min(f32::MAX),
        }
    }

    /// The largest logit.
    pub(super) fn top(self) -> f32 {
        self.top
    }

    /// What a token weighs at most.
    pub(super) fn at_most(self, logit: f32) -> f64 {
        f64::from((logit - self.top) * self.scale).exp2() * BOUND_MARGIN
    }

    /// The logit of a token with this score.
    fn logit_at(self, score: f32) -> f32 {
        self.top + score * LOG2_E / self.scale
    }
}

/// The same in registers.
#[derive(Clone, Copy)]
struct Weights<S: Simd> {
    simd: S,
    top: S::f32s,
    scale: S::f32s,
}

impl<S: Simd> Weights<S> {
    #[inline(always)]
    fn new(simd: S, weighting: Weighting) -> Self {
        Self {
            simd,
            top: simd.splat_f32s(weighting.top),
            scale: simd.splat_f32s(weighting.scale),
        }
    }

    /// The weights of tokens, and their scores in units of ln 2.
    #[inline(always)]
    fn of(self, logits: S::f32s) -> (S::f32s, S::f32s) {
        let simd = self.simd;
        let scores = simd.mul_f32s(simd.sub_f32s(logits, self.top), self.scale);
        // Also where a temperature next to 0 makes the product NaN.
        let lowest = simd.splat_f32s(LOWEST);
        let is_higher = simd.greater_than_f32s(scores, lowest);
        let scores = simd.select_f32s(is_higher, scores, lowest);
        (exp2(simd, scores), scores)
    }

    /// The weights of tokens whose logits lie in a range; the others weigh nothing.
    #[inline(always)]
    fn within(self, logits: S::f32s, range: &Range<f32>) -> S::f32s {
        let simd = self.simd;
        let reached = simd.greater_than_or_equal_f32s(logits, simd.splat_f32s(range.start));
        let below = simd.less_than_f32s(logits, simd.splat_f32s(range.end));
        let is_within = simd.and_m32s(reached, below);
        simd.select_f32s(is_within, self.of(logits).0, simd.splat_f32s(0.0))
    }
}

/// The sums over the tokens whose logits lie in a range. Scores are left at 0.
#[derive(Debug)]
pub(super) struct SumBlocks<'a> {
    pub(super) logits: &'a [f32],
    pub(super) blocks: &'a Blocks,
    pub(super) weighting: Weighting,
    pub(super) range: Range<f32>,
    /// Blocks whose largest logit lies below this are bounded, not summed.
    pub(super) exact_from: f32,
    /// Once the weight exceeds this, the rest is left out.
    pub(super) enough: f64,
    /// Receives the weight of the summed blocks of each chunk.
    pub(super) weights: &'a mut Vec<f32>,
}

/// The same with scores.
#[derive(Debug)]
pub(super) struct WithScores<'a>(pub(super) SumBlocks<'a>);

impl WithSimd for SumBlocks<'_> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Sums {
        let everything = self.range.start == f32::NEG_INFINITY && self.range.end == f32::INFINITY;
        if everything {
            self.run::<S, false, false>(simd)
        } else {
            self.run::<S, true, false>(simd)
        }
    }
}

impl WithSimd for WithScores<'_> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Sums {
        self.0.run::<S, true, true>(simd)
    }
}

impl SumBlocks<'_> {
    #[inline(always)]
    fn run<S: Simd, const RANGE: bool, const SCORES: bool>(self, simd: S) -> Sums {
        let weights = Weights::new(simd, self.weighting);
        let (mut weight, mut score) = (0.0_f64, 0.0_f64);
        let mut bound = LaneSums::default();
        let mut score_bound = LaneSums::default();
        // The least value of x exp(x) is at -1.
        let least = self.weighting.logit_at(-1.0);
        let exact_from = self.exact_from.max(f32::MIN);
        self.weights.clear();
        let blocks = self.blocks.tops.iter().zip(&self.blocks.maxima);
        let mut blocks = self.logits.chunks(BLOCK).zip(blocks).peekable();
        while blocks.peek().is_some() && weight <= self.enough {
            let mut sums = LaneSums::default();
            for (block, (top, maxima)) in blocks.by_ref().take(CHUNK / BLOCK) {
                if *top < exact_from {
                    bound.add::<S, false, false>(weights, &[*maxima], &self.range);
                    if SCORES {
                        let limited = maxima.map(|maximum| maximum.min(least));
                        score_bound.add::<S, false, true>(weights, &[limited], &self.range);
                    }
                    continue;
                }
                let (rows, rest) = block.as_chunks::<LANES>();
                sums.add::<S, RANGE, SCORES>(weights, rows, &self.range);
                if !rest.is_empty() {
                    sums.add::<S, RANGE, SCORES>(weights, &[padded(rest)], &self.range);
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
struct LaneSums {
    weight: [f32; LANES],
    /// In units of ln 2.
    score: [f32; LANES],
}

impl LaneSums {
    #[inline(always)]
    fn add<S: Simd, const RANGE: bool, const SCORES: bool>(
        &mut self,
        weights: Weights<S>,
        rows: &[[f32; LANES]],
        range: &Range<f32>,
    ) {
        let simd = weights.simd;
        let values = S::as_simd_f32s(rows.as_flattened()).0;
        let sums = S::as_mut_simd_f32s(&mut self.weight).0.iter_mut();
        let score_sums = S::as_mut_simd_f32s(&mut self.score).0;
        for (column, (sum, score_sum)) in sums.zip(score_sums).enumerate() {
            for row in values.chunks_exact(const { LANES / S::F32_LANES }) {
                let logits = row[column];
                let (mut weight, score) = weights.of(logits);
                if RANGE {
                    weight = weights.within(logits, range);
                }
                *sum = simd.add_f32s(*sum, weight);
                if SCORES {
                    *score_sum = simd.mul_add_f32s(weight, score, *score_sum);
                }
            }
        }
    }
}

/// Weighs each of some tokens; those whose logits lie outside a range weigh nothing.
#[derive(Debug)]
pub(super) struct Weigh<'a> {
    pub(super) logits: &'a [f32],
    pub(super) weighting: Weighting,
    pub(super) range: Range<f32>,
    pub(super) weights: &'a mut Vec<f32>,
}

impl WithSimd for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let weights = Weights::new(simd, self.weighting);
        for row in self.logits.chunks(LANES) {
            let mut values = padded(row);
            for logits in S::as_mut_simd_f32s(&mut values).0 {
                *logits = weights.within(*logits, &self.range);
            }
            self.weights.extend_from_slice(&values[..row.len()]);
        }
    }
}

/// Halves are added to halves: one after another, each would wait for the last.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Two to the power of `x` in -126 to 0, to about 3e-7: a power of two times a polynomial (Cody and
/// Waite, 1980, "Software Manual for the Elementary Functions"), whose terms are paired so that few
/// wait for another (Estrin, 1960). Multiplications are fused with additions everywhere, so that the
/// result is the same on every processor; one that can't do that is slow here.
#[inline(always)]
fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding it to a small number rounds that to a whole one, in the lowest bits; nine more are 0.
    const ROUNDER: f32 = 12_582_912.0;
    /// Of the polynomial with the least relative error (7.5e-8) in -0.5 to 0.5, by Remez' exchange;
    /// the lowest power first.
    const COEFFICIENTS: [f32; 6] = [
        1.0,
        6.931_469_7e-1,
        2.402_212e-1,
        5.550_713_3e-2,
        9.675_541e-3,
        1.327_647_2e-3,
    ];
    // Written out: what a closure does is not compiled for wide registers.
    let [c0, c1, c2, c3, c4, c5] = COEFFICIENTS;
    let (c0, c1) = (simd.splat_f32s(c0), simd.splat_f32s(c1));
    let (c2, c3) = (simd.splat_f32s(c2), simd.splat_f32s(c3));
    let (c4, c5) = (simd.splat_f32s(c4), simd.splat_f32s(c5));
    let rounder = simd.splat_f32s(ROUNDER);
    let shifted = simd.add_f32s(x, rounder);
    let r = simd.sub_f32s(x, simd.sub_f32s(shifted, rounder));
    let square = simd.mul_f32s(r, r);
    let low = simd.mul_add_f32s(r, c1, c0);
    let middle = simd.mul_add_f32s(r, c3, c2);
    let high = simd.mul_add_f32s(r, c5, c4);
    let series = simd.mul_add_f32s(simd.mul_add_f32s(high, square, middle), square, low);
    // The whole part is added to the exponent.
    let exponent = simd.wrapping_dyn_shl_u32s(
        simd.transmute_u32s_f32s(shifted),
        simd.splat_u32s(f32::MANTISSA_DIGITS - 1),
    );
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(series), exponent))
}
