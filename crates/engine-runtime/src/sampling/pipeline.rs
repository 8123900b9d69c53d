//! The samplers of a request, applied one after another to the few tokens that matter.
//!
//! Without top-k every token has a share, and summing the exponentials of a whole vocabulary takes
//! ten times as long as looking at it. So tokens are listed in bands, likeliest first. What is not
//! listed yet has a known upper bound, `tokens * exp(-depth)`. If all samplers and the draw come out
//! the same with nothing beyond the list as with the bound's worth of it, then the outcome is what
//! the whole vocabulary gives; if not, the next band is listed. The result is exact.

use engine_core::{GenerateParams, SamplerStage, TokenId};

use super::{
    candidates::{Candidate, Candidates},
    filters,
    penalizers::Penalizers,
    scan::Scan,
};

/// Depths of the bands: how far below the likeliest token, in units of the temperature.
const DEPTHS: [f32; 4] = [18.0, 21.0, 25.0, f32::INFINITY];

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
    /// The first of [`DEPTHS`] that is tried.
    first_depth: usize,
    /// Mirostat's bound on surprise, in bits.
    bound: f64,
    /// Band after band, each in the order of its tokens.
    listed: Candidates,
    /// Those that samplers have left.
    kept: Candidates,
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
        let first_depth = if stages.iter().any(is_penalty) {
            // A penalty could bring any token to the top.
            DEPTHS.len() - 1
        } else {
            // Mirostat takes the list's sum for the whole, and its bound follows from it.
            usize::from(params.mirostat.is_some())
        };
        Self {
            temperature,
            stages,
            widest,
            first_depth,
            bound: params
                .mirostat
                .map_or(0.0, |mirostat| 2.0 * f64::from(mirostat.tau)),
            listed: Candidates::default(),
            kept: Candidates::default(),
            by_distance: Vec::new(),
        }
    }

    /// Whether a random number is needed to see whether XTC acts.
    pub(super) fn has_xtc(&self) -> bool {
        let mut stages = self.stages.iter();
        stages.any(|stage| matches!(stage, Stage::Xtc { .. }))
    }

    /// Chooses a token; `draw` lies in [0, 1).
    pub(super) fn choose(&mut self, mut step: Step<'_>, draw: f64) -> TokenId {
        let mut above = f32::INFINITY;
        self.listed.clear();
        for depth in &DEPTHS[self.first_depth..] {
            self.list(&mut step, *depth, &mut above);
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
        }
        // Not reached: the last band lists everything, which leaves nothing open.
        step.scan.first_of(step.logits, step.top)
    }

    /// Every token that could be chosen, with its probability, in ascending order.
    pub(super) fn distribution(&mut self, mut step: Step<'_>) -> Vec<(TokenId, f64)> {
        self.listed.clear();
        let mut above = f32::INFINITY;
        self.list(&mut step, f32::INFINITY, &mut above);
        self.kept.copy_from(&self.listed);
        self.run(&step);
        self.kept.distribution()
    }

    /// Lists the tokens down to `depth` whose logits lie below `above`, and lowers `above`.
    fn list(&mut self, step: &mut Step<'_>, depth: f32, above: &mut f32) {
        let Step { logits, top, .. } = *step;
        // Where the first sampler is top-k or min-p, all that it can keep is listed at once.
        let least = match self.stages.first() {
            Some(Stage::TopK(k)) if depth.is_finite() => {
                step.scan.reached_by((*k).min(logits.len()))
            }
            Some(Stage::MinP(share)) if depth.is_finite() => {
                let depth = -share.ln() as f32 * 1.001 + 0.01;
                top - depth * self.temperature
            }
            _ => top - depth * self.widest,
        };
        // Tokens that the model rules out have a logit of negative infinity.
        let least = least.max(f32::MIN);
        let band = step
            .scan
            .at_least(logits, least)
            .filter(|(_, logit)| *logit < *above);
        let temperature = self.temperature;
        self.listed
            .list
            .extend(band.map(|(token, logit)| Candidate::new(token, (logit - top) / temperature)));
        *above = least;
        self.listed.unlisted = if least > f32::MIN {
            logits.len() - self.listed.list.len()
        } else {
            0
        };
        self.listed.cut = (least - top) / temperature;
        self.listed.shift = top / temperature;
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
                        step.penalizers.penalty_of(token, score + shift) - shift
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
