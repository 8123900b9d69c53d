//! Choosing the next token from logits.
//!
//! Tokens that a mask forbids are ruled out, and biases added. Then logits pass through the samplers
//! in the order of the request, and random numbers that depend on the seed and the step alone choose
//! among what is left; mostly one of them does. Nothing is allocated per token and nothing is sorted
//! as a whole: a step over 150,000 logits mostly costs one pass that finds the maximum of each block.

mod candidates;
mod draws;
mod dry;
mod exponentials;
mod filters;
mod flat;
mod logprobs;
mod mask;
mod penalizers;
mod penalties;
mod pipeline;
mod scan;

use std::collections::HashSet;

use engine_core::{Error, GenerateParams, Result, TokenId, TokenLogprobs};

use self::{
    draws::{Draws, Purpose, fresh_seed},
    logprobs::Logprobs,
    penalizers::Penalizers,
    pipeline::{Pipeline, Step},
    scan::Scan,
};

/// What samplers have to know about a vocabulary. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClasses {
    /// Tokens that XTC never leaves out: ends of text, and the line break.
    pub protected: Vec<TokenId>,
    /// Tokens across which DRY sees no repetition.
    pub breakers: HashSet<TokenId>,
}

/// Chooses the tokens of one generation.
///
/// The choice at step `n` depends on the logits, the seed, `n`, and the tokens before it as far as a
/// sampler looks at them; on nothing else, whatever runs beside it.
#[derive(Debug)]
pub struct Sampler {
    backend: String,
    classes: TokenClasses,
    penalizers: Penalizers,
    random: Option<Random>,
    logprobs: Option<Logprobs>,
    step: u64,
    /// Logits after mask, biases and the penalties that come first.
    changed: Vec<f32>,
    scan: Scan,
    /// The largest of the logits that a token was last chosen from.
    top: f32,
}

/// What a temperature above 0 needs.
#[derive(Debug)]
struct Random {
    seed: u64,
    draws: Draws,
    pipeline: Pipeline,
}

impl Sampler {
    /// A sampler for one generation after `prompt`. `backend` is named in errors.
    ///
    /// # Errors
    /// [`Error::Backend`] if a seed is to be drawn and the system gives no random numbers.
    pub fn new(
        backend: &str,
        params: &GenerateParams,
        prompt: &[TokenId],
        classes: TokenClasses,
    ) -> Result<Self> {
        let random = if params.temperature > 0.0 {
            let seed = match params.seed {
                Some(seed) => seed,
                None => fresh_seed()
                    .map_err(|error| Error::backend(backend, "draw a random seed", error))?,
            };
            Some(Random {
                seed,
                draws: Draws::new(seed),
                pipeline: Pipeline::new(params),
            })
        } else {
            None
        };
        Ok(Self {
            backend: backend.to_owned(),
            penalizers: Penalizers::new(params, prompt, &classes),
            classes,
            random,
            logprobs: params.logprobs.map(Logprobs::new),
            step: 0,
            changed: Vec::new(),
            scan: Scan::default(),
            top: f32::NEG_INFINITY,
        })
    }

    /// The seed in use; `None` if no random choice is made.
    pub fn seed(&self) -> Option<u64> {
        self.random.as_ref().map(|random| random.seed)
    }

    /// Chooses the next token; without randomness the first of the likeliest.
    ///
    /// With a `mask`, of one bit for each token in words of 32, lowest first, only tokens whose bit
    /// is set are chosen; what lies beyond its end is not.
    ///
    /// # Errors
    /// [`Error::Backend`] for logits among which is NaN or positive infinity, or nothing finite: a
    /// model that computes such numbers has failed. With a mask, blocks of tokens of which none is
    /// allowed are not looked at.
    pub fn choose(&mut self, logits: &[f32], mask: Option<&[u32]>) -> Result<TokenId> {
        let (step, random, number) = self.prepare(logits, mask)?;
        let chosen = match random {
            None => step.scan.first_of(step.logits, step.top),
            Some(random) => {
                let draws = &mut random.draws;
                let mut draw = |purpose| draws.at(number, purpose);
                random.pipeline.choose(step, &mut draw)
            }
        };
        self.step += 1;
        Ok(chosen)
    }

    /// The tokens that [`Sampler::choose`] could choose for these logits, in ascending order, with
    /// their probabilities.
    ///
    /// # Errors
    /// As [`Sampler::choose`].
    pub fn distribution(
        &mut self,
        logits: &[f32],
        mask: Option<&[u32]>,
    ) -> Result<Vec<(TokenId, f64)>> {
        let (step, random, _) = self.prepare(logits, mask)?;
        Ok(match random {
            None => vec![(step.scan.first_of(step.logits, step.top), 1.0)],
            Some(random) => random.pipeline.distribution(step),
        })
    }

    /// Chooses the next token like [`Sampler::choose`], with its log-probability like
    /// [`Sampler::logprobs`], and looks at the logits once for both where it can.
    ///
    /// # Errors
    /// As [`Sampler::choose`], and without a mask where log-probabilities are asked for.
    pub fn choose_with_logprobs(
        &mut self,
        logits: &[f32],
        mask: Option<&[u32]>,
    ) -> Result<(TokenId, Option<TokenLogprobs>)> {
        let token = self.choose(logits, mask)?;
        if mask.is_some() || self.penalizers.come_first() {
            return Ok((token, self.logprobs(logits, token)?));
        }
        let (scan, top) = (&mut self.scan, self.top);
        let logprobs = self.logprobs.as_mut();
        let logprobs = logprobs.and_then(|logprobs| logprobs.of(scan, top, logits, token));
        Ok((token, logprobs))
    }

    /// The log-probability of a token chosen from these logits, under the model's own distribution;
    /// `None` unless the settings ask for it.
    ///
    /// # Errors
    /// As [`Sampler::choose`] without a mask.
    pub fn logprobs(&mut self, logits: &[f32], token: TokenId) -> Result<Option<TokenLogprobs>> {
        let Some(logprobs) = &mut self.logprobs else {
            return Ok(None);
        };
        let top = self.scan.run(logits, None);
        match top.and_then(|top| logprobs.of(&mut self.scan, top, logits, token)) {
            Some(logprobs) => Ok(Some(logprobs)),
            None => Err(unsound(&self.backend, false)),
        }
    }

    /// Notes that a token has been generated, for the penalties.
    pub fn note(&mut self, token: TokenId) {
        self.penalizers.note(token, &self.classes);
    }

    /// Applies what comes before the samplers, and looks at all logits once.
    fn prepare<'a>(
        &'a mut self,
        logits: &'a [f32],
        mask: Option<&[u32]>,
    ) -> Result<(Step<'a>, Option<&'a mut Random>, u64)> {
        self.penalizers.prepare();
        let logits = if mask.is_none() && !self.penalizers.come_first() {
            logits
        } else {
            if let Some(mask) = mask {
                self.scan.copy_allowed(&mut self.changed, logits, mask);
            } else {
                self.changed.clear();
                self.changed.extend_from_slice(logits);
            }
            self.penalizers.apply_first(&mut self.changed);
            &self.changed
        };
        let top = self
            .scan
            .run(logits, mask)
            .ok_or_else(|| unsound(&self.backend, mask.is_some()))?;
        self.top = top;
        let xtc_draw = match &mut self.random {
            Some(random) if random.pipeline.has_xtc() => random.draws.at(self.step, Purpose::Xtc),
            _ => 1.0,
        };
        let step = Step {
            logits,
            scan: &mut self.scan,
            top,
            penalizers: &self.penalizers,
            protected: &self.classes.protected,
            xtc_draw,
        };
        Ok((step, self.random.as_mut(), self.step))
    }
}

fn unsound(backend: &str, masked: bool) -> Error {
    let reason = if masked {
        "of the tokens that the constraint allows they hold NaN or infinity, or nothing finite"
    } else {
        "they hold NaN or infinity, or nothing finite"
    };
    Error::backend(backend, "compute sound logits", reason)
}
