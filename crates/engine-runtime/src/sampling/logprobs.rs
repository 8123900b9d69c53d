//! Log-probabilities under the model's own distribution.

use engine_core::{TokenId, TokenLogprob, TokenLogprobs};

use super::scan::Scan;

/// Numbers looked at together, so that the compiler uses vector registers.
const LANES: usize = 16;
/// Numbers summed in 32 bits before they are added to a sum in 64 bits.
const CHUNK: usize = 64 * LANES;

/// Computes log-probabilities; reused from step to step.
#[derive(Debug)]
pub(super) struct Logprobs {
    /// How many of the likeliest tokens are reported.
    top: usize,
    scan: Scan,
    likeliest: Vec<(TokenId, f32)>,
}

impl Logprobs {
    pub(super) fn new(top: u32) -> Self {
        Self {
            top: top as usize,
            scan: Scan::default(),
            likeliest: Vec::new(),
        }
    }

    /// The log-probability of a token, and of the likeliest ones; `None` for logits among which one
    /// is NaN or positive infinity, or nothing is finite.
    pub(super) fn of(&mut self, logits: &[f32], token: TokenId) -> Option<TokenLogprobs> {
        let top = self.scan.run(logits, None)?;
        let total = exponentials(logits, top).ln();
        let logprob = |(token, logit): (TokenId, f32)| {
            let logprob = f64::from(logit) - f64::from(top) - total;
            TokenLogprob {
                token,
                // JSON has no infinity.
                logprob: (logprob as f32).clamp(f32::MIN, 0.0),
            }
        };
        let least = self.scan.reached_by(self.top.min(logits.len()));
        self.likeliest.clear();
        if self.top > 0 {
            let least = least.max(f32::MIN);
            self.likeliest.extend(self.scan.at_least(logits, least));
            self.likeliest
                .sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            self.likeliest.truncate(self.top);
        }
        let chosen = logits.get(token as usize).copied()?;
        Some(TokenLogprobs {
            chosen: logprob((token, chosen)),
            top: self.likeliest.iter().copied().map(logprob).collect(),
        })
    }
}

/// The sum of `exp(logit - top)`, to 6 digits or more; at least 1.
fn exponentials(logits: &[f32], top: f32) -> f64 {
    logits
        .chunks(CHUNK)
        .map(|chunk| {
            let mut sums = [0.0_f32; LANES];
            let lanes = chunk.chunks_exact(LANES);
            let rest = lanes.remainder();
            for lane in lanes {
                for (sum, logit) in sums.iter_mut().zip(lane) {
                    *sum += exp(logit - top);
                }
            }
            let rest: f32 = rest.iter().map(|logit| exp(logit - top)).sum();
            sums.into_iter().map(f64::from).sum::<f64>() + f64::from(rest)
        })
        .sum()
}

/// `exp(x)` for `x` up to 0, to about 1e-7, in steps that the compiler can do for many numbers at
/// once; what is below the smallest normal number counts as that. A power of two times a polynomial
/// (Cody and Waite, 1980, "Software Manual for the Elementary Functions").
fn exp(x: f32) -> f32 {
    /// Adding it to a small number rounds that to a whole one, in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0;
    /// ln 2 in two parts, of which the first has few bits.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let power = shifted - ROUNDER;
    let r = x - power * LN_2_HIGH - power * LN_2_LOW;
    // Taylor's coefficients suffice, since |r| is at most ln 2 / 2.
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r + 1.0;
    let series = series * r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUNDER.to_bits());
    series * f32::from_bits(exponent.wrapping_add(127) << 23)
}
