//! One pass over all logits: is every number sound, and how large is each block's largest?

use engine_core::TokenId;

use super::mask;

/// Numbers in a block.
const BLOCK: usize = 64;
/// Numbers looked at together, so that the compiler uses vector registers.
const LANES: usize = 16;

/// The largest logit of each block, reused from step to step.
#[derive(Debug, Default)]
pub(super) struct Scan {
    maxima: Vec<f32>,
    /// Space to select in.
    ordered: Vec<f32>,
}

impl Scan {
    /// Looks at the logits and returns the largest; `None` if one is NaN or positive infinity, or
    /// none is finite. With a mask, blocks of which no token is allowed are not looked at, and count
    /// as ruled out.
    pub(super) fn run(&mut self, logits: &[f32], mask: Option<&[u32]>) -> Option<f32> {
        self.maxima.clear();
        let mut nan = [0u32; LANES];
        for (index, block) in logits.chunks(BLOCK).enumerate() {
            if mask.is_some_and(|mask| !mask::allows_any(mask, index * BLOCK, BLOCK)) {
                self.maxima.push(f32::NEG_INFINITY);
                continue;
            }
            let mut maxima = [f32::NEG_INFINITY; LANES];
            let (lanes, rest) = block.as_chunks::<LANES>();
            for lane in lanes {
                for i in 0..LANES {
                    maxima[i] = larger(maxima[i], lane[i]);
                    nan[i] |= u32::from(lane[i].is_nan());
                }
            }
            for (i, value) in rest.iter().enumerate() {
                maxima[i] = larger(maxima[i], *value);
                nan[i] |= u32::from(value.is_nan());
            }
            self.maxima.push(largest(maxima));
        }
        let top = self
            .maxima
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        (top.is_finite() && nan == [0; LANES]).then_some(top)
    }

    /// The index of the first logit that equals `top`.
    pub(super) fn first_of(&self, logits: &[f32], top: f32) -> TokenId {
        self.at_least(logits, top)
            .next()
            .map_or(0, |(token, _)| token)
    }

    /// Tokens whose logit is at least `least`, in order. Blocks without one are skipped.
    pub(super) fn at_least<'a>(
        &'a self,
        logits: &'a [f32],
        least: f32,
    ) -> impl Iterator<Item = (TokenId, f32)> + 'a {
        logits
            .chunks(BLOCK)
            .zip(&self.maxima)
            .enumerate()
            .filter(move |(_, (_, maximum))| **maximum >= least)
            .flat_map(move |(block, (values, _))| {
                values
                    .iter()
                    .enumerate()
                    .filter(move |(_, value)| **value >= least)
                    .map(move |(index, value)| ((block * BLOCK + index) as TokenId, *value))
            })
    }

    /// A number that at least `count` logits reach, as large as the blocks alone can tell.
    pub(super) fn reached_by(&mut self, count: usize) -> f32 {
        if count == 0 || count > self.maxima.len() {
            return f32::NEG_INFINITY;
        }
        self.ordered.clear();
        self.ordered.extend_from_slice(&self.maxima);
        let (_, nth, _) = self
            .ordered
            .select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        *nth
    }
}

/// The larger of two numbers, the first if the second is NaN.
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest of all lanes, halves with halves: one after another each would wait for the last.
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
