//! Passes over all logits, block by block, in the widest registers that the processor has.

#![expect(
    clippy::inline_always,
    reason = "a function is compiled for wide registers only where it is inlined into the dispatch"
)]

use engine_core::TokenId;
use pulp::{Arch, Simd, WithSimd};

use super::{
    exponentials::{SumBlocks, Sums, Weighting},
    mask,
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
    /// The largest logit of each column; negative infinity where no token is in play.
    maxima: Vec<[f32; LANES]>,
    /// Weights of chunks, from the last call of [`Scan::sums`].
    weights: Vec<f32>,
    /// Space to select in.
    ordered: Vec<f32>,
}

impl Scan {
    /// Looks at the logits and returns the largest; `None` if one is NaN or positive infinity, or
    /// none is finite. With a mask, blocks of which no token is allowed are not looked at, and count
    /// as ruled out.
    pub(super) fn run(&mut self, logits: &[f32], mask: Option<&[u32]>) -> Option<f32> {
        self.arch.dispatch(FindMaxima {
            logits,
            mask,
            maxima: &mut self.maxima,
        })
    }

    /// The index of the first logit that equals `top`.
    pub(super) fn first_of(&self, logits: &[f32], top: f32) -> TokenId {
        let block = self.maxima.iter().position(|maxima| reaches(maxima, top));
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
            maxima: &self.maxima,
            least,
            above,
            found,
        });
    }

    /// Whether a block has tokens in play. The logits of one that has not mean nothing.
    pub(super) fn is_in_play(&self, block: usize) -> bool {
        let maxima = self.maxima.get(block);
        maxima.is_some_and(|maxima| reaches(maxima, f32::MIN))
    }

    /// How many columns hold a logit of at least `least`.
    pub(super) fn columns_from(&self, least: f32) -> usize {
        let maxima = self.maxima.as_flattened().iter();
        maxima.filter(|maximum| **maximum >= least).count()
    }

    /// A number that at least `count` logits reach, as large as a few looks can tell.
    pub(super) fn reached_by(&mut self, count: usize) -> f32 {
        self.ordered.clear();
        if count <= self.maxima.len() / 2 {
            self.ordered
                .extend(self.maxima.iter().copied().map(largest));
        } else {
            self.ordered.extend_from_slice(self.maxima.as_flattened());
        }
        if count == 0 || count > self.ordered.len() {
            return f32::NEG_INFINITY;
        }
        let (_, nth, _) = self
            .ordered
            .select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        *nth
    }

    /// The sums over the tokens whose logit lies below `below`; of scores only if asked for. Blocks
    /// whose largest logit lies below `exact_from` are not looked at, but bounded.
    pub(super) fn sums(
        &mut self,
        logits: &[f32],
        weighting: Weighting,
        below: f32,
        exact_from: f32,
        scores: bool,
    ) -> Sums {
        let maxima = &self.maxima;
        let weights = &mut self.weights;
        if scores {
            self.arch.dispatch(SumBlocks::<true> {
                logits,
                maxima,
                weighting,
                below,
                exact_from,
                weights,
            })
        } else {
            self.arch.dispatch(SumBlocks::<false> {
                logits,
                maxima,
                weighting,
                below,
                exact_from,
                weights,
            })
        }
    }

    /// The chunk in which the sum of the weights, as [`Scan::sums`] found them, passes `target`, and
    /// the sum before it; the last one with any weight if none does.
    pub(super) fn chunk_at(&self, target: f64) -> Option<(usize, f64)> {
        let mut sum = 0.0;
        let mut last = None;
        for (chunk, weight) in self.weights.iter().enumerate() {
            // What is ruled out weighs next to nothing.
            if *weight > 1e-30 {
                last = Some((chunk, sum));
                sum += f64::from(*weight);
                if sum > target {
                    break;
                }
            }
        }
        last
    }
}

/// Finds the largest logit of each column of each block, and whether no logit is NaN.
struct FindMaxima<'a> {
    logits: &'a [f32],
    mask: Option<&'a [u32]>,
    maxima: &'a mut Vec<[f32; LANES]>,
}

impl WithSimd for FindMaxima<'_> {
    /// The largest of all, if that is sound.
    type Output = Option<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<f32> {
        self.maxima.clear();
        let mut top = [f32::NEG_INFINITY; LANES];
        let mut sound = simd.equal_f32s(simd.splat_f32s(0.0), simd.splat_f32s(0.0));
        for (index, block) in self.logits.chunks(BLOCK).enumerate() {
            let mut maxima = [f32::NEG_INFINITY; LANES];
            if let Some(mask) = self.mask
                && !mask::allows_any(mask, index * BLOCK, BLOCK)
            {
                self.maxima.push(maxima);
                continue;
            }
            let (rows, rest) = block.as_chunks::<LANES>();
            sound = raise(simd, &mut maxima, rows, sound);
            if !rest.is_empty() {
                sound = raise(simd, &mut maxima, &[padded(rest)], sound);
            }
            sound = raise(simd, &mut top, &[maxima], sound);
            self.maxima.push(maxima);
        }
        let top = largest(top);
        let unsound = simd.first_true_m32s(simd.not_m32s(sound)) < S::F32_LANES;
        (!unsound && top.is_finite()).then_some(top)
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

/// Lists tokens by their logit, skipping blocks without one.
struct ListBetween<'a> {
    logits: &'a [f32],
    maxima: &'a [[f32; LANES]],
    least: f32,
    above: f32,
    found: &'a mut Vec<(TokenId, f32)>,
}

impl WithSimd for ListBetween<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // What is ruled out is never listed.
        let (least, above) = (self.least.max(f32::MIN), self.above);
        let blocks = self.logits.chunks(BLOCK).zip(self.maxima).enumerate();
        for (block, (values, maxima)) in blocks {
            if !reaches(maxima, least) {
                continue;
            }
            let (rows, rest) = values.as_chunks::<LANES>();
            for (row, values) in rows.iter().enumerate() {
                let first = block * BLOCK + row * LANES;
                push_between(self.found, first, values, least, above);
            }
            if !rest.is_empty() {
                let first = block * BLOCK + rows.len() * LANES;
                push_between(self.found, first, &padded(rest), least, above);
            }
        }
    }
}

#[inline(always)]
fn push_between(
    found: &mut Vec<(TokenId, f32)>,
    first: usize,
    values: &[f32; LANES],
    least: f32,
    above: f32,
) {
    let mut bits = bits_between(values, least, above);
    while bits != 0 {
        let i = bits.trailing_zeros() as usize % LANES;
        found.push(((first + i) as TokenId, values[i]));
        bits &= bits - 1;
    }
}

/// A bit for each number from `least` on and below `above`, the first lowest.
#[inline(always)]
fn bits_between(values: &[f32; LANES], least: f32, above: f32) -> u32 {
    let mut bits = [0u32; LANES];
    for i in 0..LANES {
        let between = values[i] >= least && values[i] < above;
        bits[i] = if between { 1 << i } else { 0 };
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            bits[i] |= bits[i + half];
        }
        half /= 2;
    }
    bits[0]
}

/// Whether any number is at least this.
#[inline(always)]
pub(super) fn reaches(values: &[f32; LANES], least: f32) -> bool {
    largest(*values) >= least
}

/// The last row, if it is not whole: nothing is in play behind its end.
#[inline(always)]
pub(super) fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut row = [f32::NEG_INFINITY; LANES];
    row[..rest.len()].copy_from_slice(rest);
    row
}

/// The larger of two numbers, the first if the second is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest of all lanes, halves with halves: one after another each would wait for the last.
#[inline(always)]
fn largest(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = larger(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}
