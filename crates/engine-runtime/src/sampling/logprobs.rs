//! Log-probabilities under the model's own distribution.

use engine_core::{TokenId, TokenLogprob, TokenLogprobs};

use super::{exponentials::Weighting, scan::Scan};

/// Computes log-probabilities; reused from step to step.
#[derive(Debug)]
pub(super) struct Logprobs {
    /// How many of the likeliest tokens are reported.
    top: usize,
    likeliest: Vec<(TokenId, f32)>,
}

impl Logprobs {
    pub(super) fn new(top: u32) -> Self {
        Self {
            top: top as usize,
            likeliest: Vec::new(),
        }
    }

    /// The log-probability of a token, and of the likeliest ones; `None` for a token that there are no
    /// logits of. `scan` has looked at these logits, all of them, and found `top` to be the largest.
    pub(super) fn of(
        &mut self,
        scan: &mut Scan,
        top: f32,
        logits: &[f32],
        token: TokenId,
    ) -> Option<TokenLogprobs> {
        let weighting = Weighting::new(top, 1.0);
        let all = f32::NEG_INFINITY..f32::INFINITY;
        let sums = scan.sums(logits, weighting, all, f32::MIN, false);
        let total = sums.weight.middle().ln();
        let logprob = |(token, logit): (TokenId, f32)| {
            let logprob = f64::from(logit) - f64::from(top) - total;
            TokenLogprob {
                token,
                // JSON has no infinity.
                logprob: (logprob as f32).clamp(f32::MIN, 0.0),
            }
        };
        let least = scan.reached_by(self.top.min(logits.len()));
        self.likeliest.clear();
        if self.top > 0 {
            let least = least.max(f32::MIN);
            let likeliest = &mut self.likeliest;
            scan.list(logits, least, f32::INFINITY, likeliest);
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
