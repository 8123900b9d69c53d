//! Passes over all logits, block by block, in the widest registers that the processor has.

#![expect(
    clippy::inline_always,
    reason = "a function is compiled for wide registers only where it is inlined into the dispatch"
)]

#[cfg(test)]
mod tests;

use std::ops::Range;

use engine_core::TokenId;
use pulp::{Arch, Simd, WithSimd};

use super::{
    exponentials::{CHUNK, SumBlocks, Sums, Weigh, Weighting, WithScores},
    mask::{self, CopyAllowed},
};

/// Numbers looked at together. The order of additions follows from it, not from the processor: its
/// registers change nothing in the results.
pub(super) const LANES: usize = 16;
/// Rows of so many numbers in a block.
pub(super) const ROWS: usize = 16;
/// Numbers in a block.
pub(super) const BLOCK: usize = ROWS * LANES;

/// What is known of each block, reused from step to step.
#[derive(Debug, Default)]
pub(super) struct Scan {
    arch: Arch,
    blocks: Blocks,
    /// Weights of chunks, from the last call of [`Scan::sums`].
    weights: Vec<f32>,
    /// Space to select in.
    ordered: Vec<f32>,
}

/// The largest logits; negative infinity where no token is in play.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Of each block.
    pub(super) tops: Vec<f32>,
    /// Of each column of each block.
    pub(super) maxima: Vec<[f32; LANES]>,
}

impl Scan {
    /// Copies the logits of allowed tokens, and rules out those between them. Blocks of which no token
    /// is allowed are left as they are in `copy`: [`Scan::run`] does not look at them.
    pub(super) fn copy_allowed(&self, copy: &mut Vec<f32>, logits: &[f32], mask: &[u32]) {
        self.arch.dispatch(CopyAllowed { copy, logits, mask });
    }

    /// Looks at the logits and returns the largest; `None` if one is NaN or positive infinity, or
    /// none is finite. With a mask, blocks of which no token is allowed are not looked at, and count
    /// as ruled out.
    pub(super) fn run(&mut self, logits: &[f32], mask: Option<&[u32]>) -> Option<f32> {
        self.arch.dispatch(FindMaxima {
            logits,
            mask,
            blocks: &mut self.blocks,
        })
    }

    /// The index of the first logit that equals `top`.
    pub(super) fn first_of(&self, logits: &[f32], top: f32) -> TokenId {
        let block = self.blocks.tops.iter().position(|block| *block >= top);
        let first = block.unwrap_or(0) * BLOCK;
        let values = logits.get(first..).unwrap_or_default();
        let index = values.iter().position(|value| *value >= top);
        (first + index.unwrap_or(0)) as TokenId
    }

    /// Adds the tokens whose logit is at least `least` and below `above`, in order.
    pub(super) fn list(
        &self,
        logits: &[f32],
        least: f32,
        above: f32,
        found: &mut Vec<(TokenId, f32)>,
    ) {
        self.arch.dispatch(ListBetween {
            logits,
            tops: &self.blocks.tops,
            least,
            above,
            found,
        });
    }

    /// Whether more than `count` columns hold a logit of at least `least`.
    pub(super) fn has_columns(&self, count: usize, least: f32) -> bool {
        let tops = self.blocks.tops.iter();
        let blocks = tops.filter(|top| **top >= least).count();
        let columns = self.blocks.maxima.as_flattened().iter();
        blocks * LANES > count && columns.filter(|maximum| **maximum >= least).count() > count
    }

    /// A number that at least `count` logits reach, as large as a few looks can tell.
    pub(super) fn reached_by(&mut self, count: usize) -> f32 {
        self.ordered.clear();
        if count <= self.blocks.tops.len() / 2 {
            self.ordered.extend_from_slice(&self.blocks.tops);
        } else {
            self.ordered
                .extend_from_slice(self.blocks.maxima.as_flattened());
        }
        if count == 0 || count > self.ordered.len() {
            return f32::NEG_INFINITY;
        }
        let (_, nth, _) = self
            .ordered
            .select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        *nth
    }

    /// The sums over the tokens whose logits lie in a range; of scores only if asked for. Blocks whose
    /// largest logit lies below `exact_from` are not looked at, but bounded.
    pub(super) fn sums(
        &mut self,
        logits: &[f32],
        weighting: Weighting,
        range: Range<f32>,
        exact_from: f32,
        scores: bool,
    ) -> Sums {
        let sums = SumBlocks {
            logits,
            blocks: &self.blocks,
            weighting,
            range,
            exact_from,
            enough: f64::INFINITY,
            weights: &mut self.weights,
        };
        if scores {
            self.arch.dispatch(WithScores(sums))
        } else {
            self.arch.dispatch(sums)
        }
    }

    /// Whether the tokens whose logits lie in a range weigh more than this for certain. No more is
    /// summed than it takes.
    pub(super) fn weigh_more(
        &mut self,
        logits: &[f32],
        weighting: Weighting,
        range: Range<f32>,
        least: f64,
    ) -> bool {
        let sums = self.arch.dispatch(SumBlocks {
            logits,
            blocks: &self.blocks,
            weighting,
            range,
            exact_from: f32::MIN,
            enough: least * 1.001,
            weights: &mut self.weights,
        });
        sums.weight.low > least
    }

    /// The first token with which the sum of the weights passes `target`, among those that the last
    /// call of [`Scan::sums`] added up; the last one with any weight if none does.
    pub(super) fn at_sum(
        &mut self,
        logits: &[f32],
        weighting: Weighting,
        range: Range<f32>,
        target: f64,
    ) -> Option<TokenId> {
        let (chunk, mut sum) = passes(&self.weights, 0.0, target)?;
        let first = chunk * CHUNK;
        let blocks = logits.get(first..)?.chunks(BLOCK).take(CHUNK / BLOCK);
        let tops = self.blocks.tops.get(first / BLOCK..)?;
        let mut chosen = None;
        for (index, (logits, top)) in blocks.zip(tops).enumerate() {
            // The logits of a block that is not in play mean nothing.
            if *top < f32::MIN {
                continue;
            }
            self.ordered.clear();
            self.arch.dispatch(Weigh {
                logits,
                weighting,
                range: range.clone(),
                weights: &mut self.ordered,
            });
            if let Some((place, before)) = passes(&self.ordered, sum, target) {
                chosen = Some((first + index * BLOCK + place) as TokenId);
                sum = before + f64::from(self.ordered[place]);
                if sum > target {
                    break;
                }
            }
        }
        chosen
    }
}

/// The first place where a sum that begins with `sum` passes `target`, and the sum before it; the
/// last one with any weight if none does.
fn passes(weights: &[f32], mut sum: f64, target: f64) -> Option<(usize, f64)> {
    let mut last = None;
    for (place, weight) in weights.iter().enumerate() {
        // What is ruled out weighs next to nothing.
        if *weight > 1e-30 {
            last = Some((place, sum));
            sum += f64::from(*weight);
            if sum > target {
                break;
            }
        }
    }
    last
}

/// Finds the largest logit of each column of each block, and whether no logit is NaN.
struct FindMaxima<'a> {
    logits: &'a [f32],
    mask: Option<&'a [u32]>,
    blocks: &'a mut Blocks,
}

impl WithSimd for FindMaxima<'_> {
    /// The largest of all, if that is sound.
    type Output = Option<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<f32> {
        self.blocks.tops.clear();
        self.blocks.maxima.clear();
        let mut top = f32::NEG_INFINITY;
        let mut sound = simd.equal_f32s(simd.splat_f32s(0.0), simd.splat_f32s(0.0));
        for (index, block) in self.logits.chunks(BLOCK).enumerate() {
            let mut maxima = [f32::NEG_INFINITY; LANES];
            let mut block_top = f32::NEG_INFINITY;
            let is_in_play = |mask| mask::allows_any(mask, index * BLOCK, BLOCK);
            if self.mask.is_none_or(is_in_play) {
                let (rows, rest) = block.as_chunks::<LANES>();
                sound = raise(simd, &mut maxima, rows, sound);
                if !rest.is_empty() {
                    sound = raise(simd, &mut maxima, &[padded(rest)], sound);
                }
                block_top = largest(simd, &maxima);
            }
            if block_top > top {
                top = block_top;
            }
            self.blocks.tops.push(block_top);
            self.blocks.maxima.push(maxima);
        }
        let is_sound = !is_any(simd, simd.not_m32s(sound));
        (is_sound && top.is_finite()).then_some(top)
    }
}

/// Raises each column's maximum to the largest of the rows; `sound` keeps where no number was NaN.
#[inline(always)]
fn raise<S: Simd>(
    simd: S,
    maxima: &mut [f32; LANES],
    rows: &[[f32; LANES]],
    mut sound: S::m32s,
) -> S::m32s {
    let values = S::as_simd_f32s(rows.as_flattened()).0;
    let maxima = S::as_mut_simd_f32s(maxima).0;
    for (column, maximum) in maxima.iter_mut().enumerate() {
        let mut highest = *maximum;
        for row in values.chunks_exact(const { LANES / S::F32_LANES }) {
            highest = simd.max_f32s(row[column], highest);
            sound = simd.and_m32s(sound, simd.equal_f32s(row[column], row[column]));
        }
        *maximum = highest;
    }
    sound
}

#[inline(always)]
fn largest<S: Simd>(simd: S, values: &[f32; LANES]) -> f32 {
    let mut highest = simd.splat_f32s(f32::NEG_INFINITY);
    for value in S::as_simd_f32s(values).0 {
        highest = simd.max_f32s(*value, highest);
    }
    simd.reduce_max_f32s(highest)
}

/// Lists tokens by their logit, skipping blocks without one.
struct ListBetween<'a> {
    logits: &'a [f32],
    tops: &'a [f32],
    least: f32,
    above: f32,
    found: &'a mut Vec<(TokenId, f32)>,
}

impl WithSimd for ListBetween<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // What is ruled out is never listed.
        let (least, above) = (self.least.max(f32::MIN), self.above);
        let blocks = self.logits.chunks(BLOCK).zip(self.tops).enumerate();
        for (block, (values, top)) in blocks {
            if *top < least {
                continue;
            }
            let first = block * BLOCK;
            let (rows, rest) = values.as_chunks::<LANES>();
            push_between(simd, self.found, first, rows, least, above);
            if !rest.is_empty() {
                let first = first + rows.len() * LANES;
                push_between(simd, self.found, first, &[padded(rest)], least, above);
            }
        }
    }
}

/// Lists those of the logits that lie in a range; the first of them is of the token `first`.
#[inline(always)]
fn push_between<S: Simd>(
    simd: S,
    found: &mut Vec<(TokenId, f32)>,
    first: usize,
    rows: &[[f32; LANES]],
    least: f32,
    above: f32,
) {
    let (lowest, end) = (simd.splat_f32s(least), simd.splat_f32s(above));
    for (index, row) in rows.iter().enumerate() {
        let mut has_some = false;
        for values in S::as_simd_f32s(row).0 {
            let reached = simd.greater_than_or_equal_f32s(*values, lowest);
            let within = simd.and_m32s(reached, simd.less_than_f32s(*values, end));
            has_some |= is_any(simd, within);
        }
        let mut bits = if has_some {
            bits_between(row, least, above)
        } else {
            0
        };
        while bits != 0 {
            let i = bits.trailing_zeros() as usize % LANES;
            found.push(((first + index * LANES + i) as TokenId, row[i]));
            bits &= bits - 1;
        }
    }
}

/// Whether a mask holds anywhere. Which is the first place differs between kinds of registers.
#[inline(always)]
fn is_any<S: Simd>(simd: S, mask: S::m32s) -> bool {
    simd.first_true_m32s(mask) < S::F32_LANES
}

/// A bit for each number from `least` on and below `above`, the first lowest.
#[inline(always)]
fn bits_between(values: &[f32; LANES], least: f32, above: f32) -> u32 {
    let mut bits = 0;
    for (i, value) in values.iter().enumerate() {
        bits |= u32::from(*value >= least && *value < above) << i;
    }
    bits
}

/// The last row, if it is not whole: nothing is in play behind its end.
#[inline(always)]
pub(super) fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut row = [f32::NEG_INFINITY; LANES];
    row[..rest.len()].copy_from_slice(rest);
    row
}
