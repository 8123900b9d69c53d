//! The few tokens that matter for a draw.
//!
//! Without top-k every token has a share, and summing the exponentials of a whole vocabulary takes
//! ten times as long as looking at it. So tokens are listed in bands, likeliest first. What is not
//! listed yet has a known upper bound, `tokens * exp(-depth)`. If the draw, or the nucleus of
//! top-p, comes out the same with nothing beyond the list as with the bound's worth of it, then it
//! is what the whole vocabulary gives; if not, the next band is listed. The result is exact.

use std::cmp::Ordering;

use engine_core::TokenId;

use super::{filters::Filters, scan::Scan};

/// Depths of the bands: how far below the likeliest token, in units of the temperature.
const DEPTHS: [f32; 3] = [16.0, 24.0, f32::INFINITY];
/// Covers the rounding of 32-bit exponentials in the bound.
const BOUND_MARGIN: f64 = 1.01;
/// Tokens sorted first when looking for the nucleus.
const NUCLEUS_GUESS: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: TokenId,
    logit: f32,
    /// Probability in units of the likeliest token's.
    weight: f64,
}

/// One step's logits.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) logits: &'a [f32],
    pub(super) scan: &'a mut Scan,
    /// The largest logit.
    pub(super) top: f32,
}

/// How much weight lies in the list, and at most beyond it.
#[derive(Clone, Copy, Debug)]
struct Mass {
    listed: f64,
    beyond: f64,
}

/// Candidates, reused from step to step.
#[derive(Debug, Default)]
pub(super) struct Shortlist {
    /// Band after band, each in the order of its tokens.
    candidates: Vec<Candidate>,
}

impl Shortlist {
    /// Chooses a token; `draw` lies in [0, 1).
    pub(super) fn choose(&mut self, mut step: Step<'_>, filters: &Filters, draw: f64) -> TokenId {
        self.candidates.clear();
        let mut above = f32::INFINITY;
        for depth in DEPTHS {
            let mass = self.list(&mut step, filters, depth, &mut above);
            if let Some(mass) = self.keep(filters, mass)
                && let Some(token) = pick(&self.candidates, mass, draw)
            {
                return token;
            }
        }
        // Not reached: the last band lists everything, which leaves nothing open.
        step.scan.first_of(step.logits, step.top)
    }

    /// Every token that could be chosen, with its probability, in ascending order.
    pub(super) fn distribution(
        &mut self,
        mut step: Step<'_>,
        filters: &Filters,
    ) -> Vec<(TokenId, f64)> {
        self.candidates.clear();
        let mut above = f32::INFINITY;
        let mass = self.list(&mut step, filters, f32::INFINITY, &mut above);
        let total = self.keep(filters, mass).map_or(0.0, |mass| mass.listed);
        let mut tokens: Vec<_> = self
            .candidates
            .iter()
            .filter(|candidate| candidate.weight > 0.0)
            .map(|candidate| (candidate.token, candidate.weight / total))
            .collect();
        tokens.sort_unstable_by_key(|(token, _)| *token);
        tokens
    }

    /// Lists the tokens down to `depth` whose logits lie below `above`, and lowers `above`.
    fn list(
        &mut self,
        step: &mut Step<'_>,
        filters: &Filters,
        depth: f32,
        above: &mut f32,
    ) -> Mass {
        let Step { logits, top, .. } = *step;
        let top_k = filters.top_k.filter(|k| *k < logits.len());
        // With top-k, or min-p alone, all that can be kept is listed at once.
        let (least, is_whole) = if let Some(k) = top_k {
            (step.scan.reached_by(k), true)
        } else if filters.top_p.is_none() && filters.min_p > 0.0 {
            let depth = -filters.min_p.ln() as f32 * 1.001 + 0.01;
            (top - depth * filters.temperature, true)
        } else {
            (top - depth * filters.temperature, depth.is_infinite())
        };
        // Tokens that the model rules out have a logit of negative infinity.
        let least = least.max(f32::MIN);
        let band = step
            .scan
            .at_least(logits, least)
            .filter(|(_, logit)| *logit < *above);
        self.candidates.extend(band.map(|(token, logit)| Candidate {
            token,
            logit,
            weight: f64::from(((logit - top) / filters.temperature).exp()),
        }));
        *above = least;
        if let Some(k) = top_k
            && k < self.candidates.len()
        {
            self.candidates.select_nth_unstable_by(k, likeliest_first);
            self.candidates.truncate(k);
        }
        let beyond = if is_whole {
            0.0
        } else {
            let unlisted = logits.len() - self.candidates.len();
            unlisted as f64 * f64::from((-depth).exp()) * BOUND_MARGIN
        };
        Mass {
            listed: weight(&self.candidates),
            beyond,
        }
    }

    /// Cuts the list to what top-p and min-p keep, and returns the weight left; `None`, with the
    /// list whole, if what is not listed could change that.
    fn keep(&mut self, filters: &Filters, mut mass: Mass) -> Option<Mass> {
        if let Some(share) = filters.top_p {
            let kept = nucleus(&mut self.candidates, mass, share)?;
            self.candidates.truncate(kept);
            mass.beyond = 0.0;
        }
        if filters.min_p > 0.0 {
            self.candidates
                .retain(|candidate| candidate.weight >= filters.min_p);
        }
        mass.listed = weight(&self.candidates);
        Some(mass)
    }
}

fn weight(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| candidate.weight).sum()
}

/// By logit, falling; of equal ones the lower token comes first.
fn likeliest_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// The token in whose share of the weight `draw` falls; `None` if that depends on what is beyond.
fn pick(candidates: &[Candidate], mass: Mass, draw: f64) -> Option<TokenId> {
    let target = draw * mass.listed;
    let highest = draw * (mass.listed + mass.beyond);
    let mut sum = 0.0;
    for candidate in candidates {
        sum += candidate.weight;
        if sum > target {
            return (mass.beyond == 0.0 || sum > highest).then_some(candidate.token);
        }
    }
    // The product above may round up to the sum.
    let last = candidates
        .iter()
        .rfind(|candidate| candidate.weight > 0.0)?;
    (mass.beyond == 0.0).then_some(last.token)
}

/// Brings the likeliest candidates that add up to `share` of all weight to the front, in order,
/// and returns how many they are; `None` if that depends on what is beyond.
fn nucleus(candidates: &mut [Candidate], mass: Mass, share: f64) -> Option<usize> {
    let target = share * mass.listed;
    let highest = share * (mass.listed + mass.beyond);
    let mut sum = 0.0;
    let mut sorted = 0;
    while sorted < candidates.len() {
        let end = (sorted * 4).max(NUCLEUS_GUESS).min(candidates.len());
        let rest = &mut candidates[sorted..];
        if end - sorted < rest.len() {
            rest.select_nth_unstable_by(end - sorted, likeliest_first);
        }
        let next = &mut rest[..end - sorted];
        next.sort_unstable_by(likeliest_first);
        for (index, candidate) in next.iter().enumerate() {
            sum += candidate.weight;
            if sum >= target {
                return (mass.beyond == 0.0 || sum >= highest).then_some(sorted + index + 1);
            }
        }
        sorted = end;
    }
    // Sums in another order may round below the target.
    (mass.beyond == 0.0).then_some(candidates.len())
}
