//! The samplers of a request, applied one after another to the few tokens that matter.
//!
//! Without top-k every token has a share, and computing each of them takes far longer than looking at
//! the logits. So tokens are listed in bands, likeliest first. What is not listed has known bounds:
//! first from the largest logit of each block, then from a sum over all. If all samplers and the draw
//! come out the same with the least and with the most that can be beyond the list, then the outcome
//! is what the whole vocabulary gives; if not, more is found out. The result is exact.

use engine_core::{GenerateParams, SamplerStage, TokenId};

use super::{
    candidates::{Candidate, Candidates},
    draws::Purpose,
    exponentials::Weighting,
    filters,
    flat::{Drawn, Flat},
    penalizers::Penalizers,
    scan::Scan,
};

/// How much is found out about the tokens.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// How far below the likeliest token others are listed, in units of the temperature.
    depth: f32,
    /// Whether the weight of those that are not listed is summed up, where it is bounded otherwise.
    sums: bool,
}

/// What is tried, one after another. The last leaves nothing open.
const EFFORTS: [Effort; 5] = [
    Effort::new(10.0, false),
    Effort::new(10.0, true),
    Effort::new(13.0, true),
    Effort::new(18.0, true),
    Effort::new(f32::INFINITY, true),
];

/// With so many columns that hold a likely token, a distribution is so flat that bounds of the rest
/// would not do.
const FLAT: usize = 1024;

impl Effort {
    const fn new(depth: f32, sums: bool) -> Self {
        Self { depth, sums }
    }
}

/// A sampler with something to do.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Temperature(f32),
    TopK(usize),
    TypicalP(f64),
    TopP(f64),
    MinP(f64),
    Xtc { probability: f64, threshold: f64 },
    Penalties,
    Dry,
    Mirostat { tau: f64, eta: f64 },
}

/// One step's logits, after the penalties that come first.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) logits: &'a [f32],
    pub(super) scan: &'a mut Scan,
    /// The largest logit.
    pub(super) top: f32,
    pub(super) penalizers: &'a Penalizers,
    /// Tokens that XTC leaves in.
    pub(super) protected: &'a [TokenId],
    /// A random number in [0, 1), for XTC.
    pub(super) xtc_draw: f64,
}

/// The samplers of a request in their order.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// What all logits are divided by when they are listed.
    temperature: f32,
    /// What follows on that.
    stages: Vec<Stage>,
    /// The largest factor between differences of logits and of scores at any stage.
    widest: f32,
    /// The first of [`EFFORTS`].
    first_effort: usize,
    /// Whether a sampler looks at the mean of scores.
    needs_scores: bool,
    /// Mirostat's bound on surprise, in bits.
    bound: f64,
    /// Band after band, each in the order of its tokens.
    listed: Candidates,
    /// Those that samplers have left.
    kept: Candidates,
    /// Whether the weight of the others is summed up, and not only bounded.
    are_summed: bool,
    found: Vec<(TokenId, f32)>,
    by_distance: Vec<(f64, u32)>,
}

impl Pipeline {
    /// The samplers of these settings, whose temperature is above 0.
    pub(super) fn new(params: &GenerateParams) -> Self {
        let mut stages: Vec<Stage> = params
            .stages()
            .iter()
            .filter(|stage| stage.is_active(params))
            .skip_while(|stage| stage.is_penalty())
            .filter_map(|stage| Stage::new(*stage, params))
            .collect();
        if let Some(mirostat) = params.mirostat {
            stages.push(Stage::Mirostat {
                tau: f64::from(mirostat.tau),
                eta: f64::from(mirostat.eta),
            });
        }
        let temperature = match stages.first() {
            Some(Stage::Temperature(temperature)) => {
                let temperature = *temperature;
                stages.remove(0);
                temperature
            }
            _ => 1.0,
        };
        let later = stages.iter().map(|stage| match stage {
            Stage::Temperature(temperature) => *temperature,
            _ => temperature,
        });
        let widest = later.fold(temperature, f32::max);
        let is_penalty = |stage: &Stage| matches!(stage, Stage::Penalties | Stage::Dry);
        let first_effort = if stages.iter().any(is_penalty) {
            // A penalty could bring any token to the top.
            EFFORTS.len() - 1
        } else {
            // Mirostat's bound follows from the sum of all weights.
            usize::from(params.mirostat.is_some())
        };
        let needs_scores = |stage: &Stage| matches!(stage, Stage::TypicalP(_));
        Self {
            temperature,
            needs_scores: stages.iter().any(needs_scores),
            stages,
            widest,
            first_effort,
            bound: params
                .mirostat
                .map_or(0.0, |mirostat| 2.0 * f64::from(mirostat.tau)),
            listed: Candidates::default(),
            kept: Candidates::default(),
            are_summed: false,
            found: Vec::new(),
            by_distance: Vec::new(),
        }
    }

    /// Whether a random number is needed to see whether XTC acts.
    pub(super) fn has_xtc(&self) -> bool {
        let mut stages = self.stages.iter();
        stages.any(|stage| matches!(stage, Stage::Xtc { .. }))
    }

    /// Chooses a token; `draw` gives random numbers in [0, 1).
    pub(super) fn choose(
        &mut self,
        mut step: Step<'_>,
        draw: &mut dyn FnMut(Purpose) -> f64,
    ) -> TokenId {
        if let Some(flat) = self.flat(&step) {
            return match flat.draw(step.scan, step.logits, &mut self.found, draw) {
                Drawn::Token(token) => token,
                Drawn::Unclear(token, again) => self.settle(&mut step, token, draw(again)),
            };
        }
        let draw = draw(Purpose::Token);
        let mut above = f32::INFINITY;
        self.listed.clear();
        for effort in &EFFORTS[self.first_effort..] {
            self.list(&mut step, *effort, &mut above);
            let picked = if self.stages.is_empty() {
                self.listed.pick(draw).map(|chosen| (chosen, 0.0))
            } else {
                self.kept.copy_from(&self.listed);
                self.run(&step)
                    .and_then(|total| Some((self.kept.pick(draw)?, total)))
            };
            if let Some((chosen, total)) = picked {
                self.steer(&chosen, total);
                return chosen.token;
            }
            if self.stages.is_empty() && self.are_summed {
                return self.pick_beyond(&mut step, draw, above);
            }
        }
        // Not reached: the last effort lists everything, which leaves nothing open.
        step.scan.first_of(step.logits, step.top)
    }

    /// How to draw from a flat distribution, if it is one and nothing follows on the temperature, or
    /// top-p alone.
    fn flat(&self, step: &Step<'_>) -> Option<Flat> {
        let share = match self.stages[..] {
            [] => None,
            [Stage::TopP(share)] => Some(share),
            _ => return None,
        };
        let least = step.top - EFFORTS[0].depth * self.temperature;
        let weighting = Weighting::new(step.top, self.temperature);
        let is_flat = step.scan.has_columns(FLAT, least);
        is_flat.then_some(Flat { weighting, share })
    }

    /// A token if samplers keep it, else what they keep at `draw`.
    fn settle(&mut self, step: &mut Step<'_>, token: TokenId, draw: f64) -> TokenId {
        self.list_all(step);
        self.run(step);
        let mut kept = self.kept.list.iter();
        if kept.any(|candidate| candidate.token == token) {
            return token;
        }
        let other = self.kept.pick(draw);
        other.map_or(token, |other| other.token)
    }

    /// Every token that could be chosen, with its probability, in ascending order.
    pub(super) fn distribution(&mut self, mut step: Step<'_>) -> Vec<(TokenId, f64)> {
        self.list_all(&mut step);
        self.run(&step);
        self.kept.distribution()
    }

    /// Lets all tokens be candidates.
    fn list_all(&mut self, step: &mut Step<'_>) {
        self.listed.clear();
        let mut above = f32::INFINITY;
        self.list(step, EFFORTS[EFFORTS.len() - 1], &mut above);
        self.kept.copy_from(&self.listed);
    }

    /// Lists the tokens as far down as an effort says whose logits lie below `above`, lowers `above`
    /// to the least that is listed, and bounds the rest.
    fn list(&mut self, step: &mut Step<'_>, effort: Effort, above: &mut f32) {
        let Step { logits, top, .. } = *step;
        let depth = effort.depth;
        let mut is_flat = false;
        let (least, closes) = match self.stages.first() {
            // Where the first sampler is top-k or min-p, all that it can keep is listed at once.
            Some(Stage::TopK(k)) if depth.is_finite() => {
                (step.scan.reached_by((*k).min(logits.len())), true)
            }
            Some(Stage::MinP(share)) if depth.is_finite() => {
                let depth = -share.ln() as f32 * 1.001 + 0.01;
                (top - depth * self.temperature, true)
            }
            _ => {
                let least = top - depth * self.widest;
                is_flat = depth.is_finite() && step.scan.has_columns(FLAT, least);
                (least, false)
            }
        };
        // Tokens that the model rules out have a logit of negative infinity.
        let least = least.max(f32::MIN);
        let temperature = self.temperature;
        if least < *above {
            self.found.clear();
            step.scan.list(logits, least, *above, &mut self.found);
            let found = self.found.iter();
            self.listed.list.extend(
                found.map(|(token, logit)| Candidate::new(*token, (logit - top) / temperature)),
            );
            *above = least;
            self.listed.cut = (least - top) / temperature;
            self.listed.shift = f64::from(top) / f64::from(temperature);
        }
        self.listed.unlisted = logits.len() - self.listed.list.len();
        if least == f32::MIN || !self.listed.is_open() {
            self.listed.close();
        } else if closes {
            self.listed.bound_rest();
        } else {
            self.are_summed = effort.sums || is_flat;
            let exact_from = if self.are_summed { f32::MIN } else { least };
            let weighting = Weighting::new(top, temperature);
            let scan = &mut *step.scan;
            self.listed.rest = scan.sums(
                logits,
                weighting,
                f32::NEG_INFINITY..least,
                exact_from,
                self.needs_scores,
            );
        }
    }

    /// Picks a token where no sampler follows on the temperature, the sums are known, and `draw` does
    /// not fall surely among the listed ones: the list comes first, then all others in their order,
    /// whose logits lie below `least`.
    fn pick_beyond(&self, step: &mut Step<'_>, draw: f64, least: f32) -> TokenId {
        let listed = self.listed.mass().listed;
        let target = draw * (listed + self.listed.rest.weight.middle());
        let mut sum = 0.0;
        for candidate in &self.listed.list {
            sum += candidate.weight;
            if sum > target {
                return candidate.token;
            }
        }
        let weighting = Weighting::new(step.top, self.temperature);
        let range = f32::NEG_INFINITY..least;
        let beyond = step
            .scan
            .at_sum(step.logits, weighting, range, target - sum);
        beyond.unwrap_or_else(|| step.scan.first_of(step.logits, step.top))
    }

    /// Applies the samplers; `None` if the outcome depends on what is not listed. Returns the total
    /// weight before mirostat.
    fn run(&mut self, step: &Step<'_>) -> Option<f64> {
        let kept = &mut self.kept;
        let mut total = 0.0;
        for stage in &self.stages {
            match *stage {
                Stage::Temperature(temperature) => kept.heat(temperature),
                Stage::TopK(k) => filters::top_k(kept, k)?,
                Stage::TypicalP(share) => filters::typical_p(kept, &mut self.by_distance, share)?,
                Stage::TopP(share) => filters::top_p(kept, share)?,
                Stage::MinP(share) => filters::min_p(kept, share)?,
                Stage::Xtc {
                    probability,
                    threshold,
                } => {
                    if step.xtc_draw < probability {
                        filters::xtc(kept, threshold, step.protected)?;
                    }
                }
                Stage::Penalties => {
                    let shift = kept.shift;
                    kept.rescore(|token, score| {
                        let before = f64::from(score) + shift;
                        let after = step.penalizers.penalty_of(token, before);
                        if after == before {
                            score
                        } else {
                            (after - shift) as f32
                        }
                    });
                }
                Stage::Dry => {
                    kept.rescore(|token, score| score - step.penalizers.repetition_of(token));
                }
                Stage::Mirostat { .. } => total = filters::surprise(kept, self.bound)?,
            }
        }
        Some(total)
    }

    /// Lets mirostat's bound follow from what was chosen.
    fn steer(&mut self, chosen: &Candidate, total: f64) {
        if let Some(Stage::Mirostat { tau, eta }) = self.stages.last() {
            let surprise = (total / chosen.weight).log2();
            self.bound -= eta * (surprise - tau);
        }
    }
}

impl Stage {
    fn new(stage: SamplerStage, params: &GenerateParams) -> Option<Self> {
        Some(match stage {
            SamplerStage::Penalties => Self::Penalties,
            SamplerStage::Dry => Self::Dry,
            SamplerStage::Temperature => Self::Temperature(params.temperature),
            SamplerStage::TopK => Self::TopK(params.top_k? as usize),
            SamplerStage::TypicalP => Self::TypicalP(f64::from(params.typical_p)),
            SamplerStage::TopP => Self::TopP(f64::from(params.top_p)),
            SamplerStage::MinP => Self::MinP(f64::from(params.min_p)),
            SamplerStage::Xtc => {
                let xtc = params.xtc?;
                Self::Xtc {
                    probability: f64::from(xtc.probability),
                    threshold: f64::from(xtc.threshold),
                }
            }
            _ => return None,
        })
    }
}
