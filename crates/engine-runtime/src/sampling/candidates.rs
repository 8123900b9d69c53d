//! The tokens that are still in play, and what is known about those that are not listed.

use std::cmp::Ordering;

use engine_core::TokenId;

use super::exponentials::{Span, Sums};

/// Covers the rounding of 32-bit exponentials in bounds.
const BOUND_MARGIN: f64 = 1.01;

/// A token in play.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) token: TokenId,
    /// Its logit, less the largest of all candidates.
    pub(super) score: f32,
    /// Its probability in units of the likeliest candidate's.
    pub(super) weight: f64,
}

impl Candidate {
    pub(super) fn new(token: TokenId, score: f32) -> Self {
        Self {
            token,
            score,
            weight: f64::from(score.exp()),
        }
    }
}

/// Candidates, reused from step to step.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) list: Vec<Candidate>,
    /// Tokens in play that are not listed.
    pub(super) unlisted: usize,
    /// No token that is not listed has a score of this or more.
    pub(super) cut: f32,
    /// What was subtracted from logits to make the largest score 0.
    pub(super) shift: f64,
    /// Sums over the tokens in play that are not listed.
    pub(super) rest: Sums,
}

/// The weight of all tokens in play.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mass {
    /// Of those in the list.
    pub(super) listed: f64,
    /// Of all, at least.
    pub(super) low: f64,
    /// Of all, at most.
    pub(super) high: f64,
}

impl Candidates {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.unlisted = 0;
        self.cut = f32::NEG_INFINITY;
        self.shift = 0.0;
        self.rest = Sums::default();
    }

    /// Whether tokens are in play that are not listed.
    pub(super) fn is_open(&self) -> bool {
        self.unlisted > 0
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.list.clear();
        self.list.extend_from_slice(&other.list);
        self.unlisted = other.unlisted;
        self.cut = other.cut;
        self.shift = other.shift;
        self.rest = other.rest;
    }

    pub(super) fn mass(&self) -> Mass {
        let listed: f64 = self.list.iter().map(|candidate| candidate.weight).sum();
        Mass {
            listed,
            low: listed + self.rest.weight.low,
            high: listed + self.rest.weight.high,
        }
    }

    /// Says that nothing but the list is in play.
    pub(super) fn close(&mut self) {
        self.unlisted = 0;
        self.rest = Sums::default();
    }

    /// Keeps the first candidates alone.
    pub(super) fn keep_first(&mut self, count: usize) {
        self.list.truncate(count);
        self.close();
    }

    /// Gives candidates other scores, and weights that fit them; all tokens in play must be listed.
    pub(super) fn rescore(&mut self, change: impl Fn(TokenId, f32) -> f32) {
        for candidate in &mut self.list {
            candidate.score = change(candidate.token, candidate.score);
        }
        self.normalize();
    }

    /// Makes the largest score 0 again, where the likeliest candidates may have gone.
    pub(super) fn normalize(&mut self) {
        let scores = self.list.iter().map(|candidate| candidate.score);
        let top = scores.fold(f32::NEG_INFINITY, f32::max);
        for candidate in &mut self.list {
            *candidate = Candidate::new(candidate.token, candidate.score - top);
        }
        self.cut -= top;
        self.shift += f64::from(top);
        self.bound_rest();
    }

    /// Divides all scores.
    pub(super) fn heat(&mut self, temperature: f32) {
        for candidate in &mut self.list {
            *candidate = Candidate::new(candidate.token, candidate.score / temperature);
        }
        self.cut /= temperature;
        self.shift /= f64::from(temperature);
        self.bound_rest();
    }

    /// Forgets what is known of the rest but for its number and the cut.
    pub(super) fn bound_rest(&mut self) {
        if self.is_open() {
            let highest = f64::from(self.cut);
            self.rest = Sums {
                weight: Span {
                    low: 0.0,
                    high: self.unlisted as f64 * highest.exp() * BOUND_MARGIN,
                },
                score: Span {
                    low: f64::NEG_INFINITY,
                    high: 0.0,
                },
            };
        }
    }

    /// The token in whose share of the weight `draw`, in [0, 1), falls; `None` if that depends on
    /// what is not listed.
    pub(super) fn pick(&self, draw: f64) -> Option<Candidate> {
        let mass = self.mass();
        let (lowest, highest) = (draw * mass.low, draw * mass.high);
        let mut sum = 0.0;
        for candidate in &self.list {
            sum += candidate.weight;
            if sum > lowest {
                return (!self.is_open() || sum > highest).then_some(*candidate);
            }
        }
        // The product above may round up to the sum.
        let last = self.list.iter().rfind(|candidate| candidate.weight > 0.0)?;
        (!self.is_open()).then_some(*last)
    }

    /// Every token that could be chosen, with its probability, in ascending order.
    pub(super) fn distribution(&self) -> Vec<(TokenId, f64)> {
        let total = self.mass().listed;
        let mut tokens: Vec<_> = self
            .list
            .iter()
            .filter(|candidate| candidate.weight > 0.0)
            .map(|candidate| (candidate.token, candidate.weight / total))
            .collect();
        tokens.sort_unstable_by_key(|(token, _)| *token);
        tokens
    }
}

/// By score, falling; of equal ones the lower token comes first.
pub(super) fn likeliest_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.score.total_cmp(&a.score).then(a.token.cmp(&b.token))
}
