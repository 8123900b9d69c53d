//! The samplers' definitions, written out without shortcuts: over the whole vocabulary, sorted as a
//! whole, in 64 bits.

use std::collections::{BTreeMap, HashSet};

use engine_core::{Dry, GenerateParams, SamplerStage, TokenId};

/// What the distribution of one step depends on.
pub(crate) struct Moment<'a> {
    pub(crate) params: &'a GenerateParams,
    pub(crate) prompt: &'a [TokenId],
    pub(crate) generated: &'a [TokenId],
    pub(crate) breakers: &'a HashSet<TokenId>,
    pub(crate) protected: &'a [TokenId],
    /// Whether XTC acts at this step.
    pub(crate) xtc: bool,
    pub(crate) allowed: &'a dyn Fn(TokenId) -> bool,
}

impl<'a> Moment<'a> {
    pub(crate) fn new(params: &'a GenerateParams, breakers: &'a HashSet<TokenId>) -> Self {
        Self {
            params,
            prompt: &[],
            generated: &[],
            breakers,
            protected: &[],
            xtc: true,
            allowed: &|_| true,
        }
    }

    /// The tokens that may be chosen, with their probabilities.
    pub(crate) fn distribution(&self, logits: &[f32]) -> BTreeMap<TokenId, f64> {
        let mut scores: BTreeMap<TokenId, f64> = logits
            .iter()
            .enumerate()
            .map(|(token, logit)| (token as TokenId, f64::from(*logit)))
            .filter(|(token, _)| (self.allowed)(*token))
            .collect();
        for (token, bias) in &self.params.logit_bias {
            if let Some(score) = scores.get_mut(token) {
                *score += f64::from(*bias);
            }
        }
        let order = if self.params.sampler_order.is_empty() {
            use SamplerStage::{Dry, MinP, Penalties, Temperature, TopK, TopP, TypicalP, Xtc};
            vec![Penalties, Dry, Temperature, TopK, TypicalP, TopP, MinP, Xtc]
        } else {
            self.params.sampler_order.clone()
        };
        for stage in order {
            self.apply(stage, &mut scores);
        }
        softmax(&scores)
    }

    fn apply(&self, stage: SamplerStage, scores: &mut BTreeMap<TokenId, f64>) {
        let params = self.params;
        match stage {
            SamplerStage::Penalties => self.penalize(scores),
            SamplerStage::Dry => {
                if let Some(dry) = &params.dry {
                    for (token, score) in scores {
                        *score -= self.repetition(dry, *token);
                    }
                }
            }
            SamplerStage::Temperature => {
                let temperature = f64::from(params.temperature);
                for score in scores.values_mut() {
                    *score /= temperature;
                }
            }
            SamplerStage::TopK => {
                if let Some(k) = params.top_k {
                    keep(scores, likeliest_first(scores).into_iter().take(k as usize));
                }
            }
            SamplerStage::TypicalP if params.typical_p < 1.0 => {
                let shares = softmax(scores);
                let surprise = |token: &TokenId| -shares[token].ln();
                let entropy: f64 = shares
                    .iter()
                    .filter(|(_, share)| **share > 0.0)
                    .map(|(token, share)| share * surprise(token))
                    .sum();
                // Stable, so that of equally near tokens the likelier comes first.
                let mut order = likeliest_first(scores);
                let distance = |token: &TokenId| (surprise(token) - entropy).abs();
                order.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
                keep_share(scores, &order, &shares, f64::from(params.typical_p));
            }
            SamplerStage::TopP if params.top_p < 1.0 => {
                let (order, shares) = (likeliest_first(scores), softmax(scores));
                keep_share(scores, &order, &shares, f64::from(params.top_p));
            }
            SamplerStage::MinP => {
                let shares = softmax(scores);
                let largest = shares.values().copied().fold(0.0, f64::max);
                scores.retain(|token, _| shares[token] >= f64::from(params.min_p) * largest);
            }
            SamplerStage::Xtc => self.exclude(scores),
            _ => {}
        }
    }

    fn penalize(&self, scores: &mut BTreeMap<TokenId, f64>) {
        let params = self.params;
        let window = params.penalty_window.map_or(usize::MAX, |w| w as usize);
        let everything = [self.prompt, self.generated].concat();
        let recent = &everything[everything.len().saturating_sub(window)..];
        let recent_answer = &self.generated[self.generated.len().saturating_sub(window)..];
        for (token, score) in scores {
            if recent.contains(token) {
                let penalty = f64::from(params.repetition_penalty);
                *score = if *score > 0.0 {
                    *score / penalty
                } else {
                    *score * penalty
                };
            }
            let count = recent_answer.iter().filter(|t| *t == token).count();
            if count > 0 {
                *score -= f64::from(params.presence_penalty);
                *score -= f64::from(params.frequency_penalty) * count as f64;
            }
        }
    }

    /// DRY: the longest end of the text that came before, with this token behind it.
    fn repetition(&self, dry: &Dry, token: TokenId) -> f64 {
        let everything = [self.prompt, self.generated].concat();
        let range = dry.range.map_or(usize::MAX, |range| range as usize);
        let text = &everything[everything.len().saturating_sub(range)..];
        if self.breakers.contains(&token) {
            return 0.0;
        }
        let longest = (1..text.len())
            .filter(|place| text[*place] == token)
            .map(|place| {
                (1..=place.min(50))
                    .take_while(|n| {
                        let end = &text[text.len() - n..];
                        text[place - n..place] == *end
                            && !end.iter().any(|token| self.breakers.contains(token))
                    })
                    .count()
            })
            .max()
            .unwrap_or(0);
        let allowed = dry.allowed_length as usize;
        if longest < allowed {
            return 0.0;
        }
        f64::from(dry.multiplier) * f64::from(dry.base).powi((longest - allowed) as i32)
    }

    fn exclude(&self, scores: &mut BTreeMap<TokenId, f64>) {
        let Some(xtc) = self.params.xtc.filter(|_| self.xtc) else {
            return;
        };
        let shares = softmax(scores);
        let mut top = likeliest_first(scores);
        top.retain(|token| shares[token] >= f64::from(xtc.threshold));
        top.pop();
        if !top.iter().any(|token| self.protected.contains(token)) {
            for token in &top {
                scores.remove(token);
            }
        }
    }
}

/// Probabilities of scores.
pub(crate) fn softmax(scores: &BTreeMap<TokenId, f64>) -> BTreeMap<TokenId, f64> {
    let top = scores.values().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.values().map(|score| (score - top).exp()).sum();
    scores
        .iter()
        .map(|(token, score)| (*token, (score - top).exp() / total))
        .collect()
}

/// Of equally likely tokens the lower comes first.
fn likeliest_first(scores: &BTreeMap<TokenId, f64>) -> Vec<TokenId> {
    let mut tokens: Vec<_> = scores.keys().copied().collect();
    tokens.sort_by(|a, b| scores[b].total_cmp(&scores[a]));
    tokens
}

fn keep(scores: &mut BTreeMap<TokenId, f64>, tokens: impl Iterator<Item = TokenId>) {
    let kept: HashSet<_> = tokens.collect();
    scores.retain(|token, _| kept.contains(token));
}

/// Keeps the first tokens that add up to a share.
fn keep_share(
    scores: &mut BTreeMap<TokenId, f64>,
    order: &[TokenId],
    shares: &BTreeMap<TokenId, f64>,
    share: f64,
) {
    let mut sum = 0.0;
    let kept = order.iter().copied().take_while(|token| {
        let before = sum;
        sum += shares[token];
        before < share
    });
    let kept: Vec<_> = kept.collect();
    keep(scores, kept.into_iter());
}
