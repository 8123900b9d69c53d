//! Log-probabilities under the model's own distribution.

use engine_core::{TokenId, TokenLogprob, TokenLogprobs};

use super::{exponentials::Weighting, scan::Scan};

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
        let weighting = Weighting::new(top, 1.0);
        let all = self
            .scan
            .sums(logits, weighting, f32::INFINITY, f32::MIN, false);
        let total = all.weight.middle().ln();
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
            let likeliest = &mut self.likeliest;
            self.scan.list(logits, least, f32::INFINITY, likeliest);
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
