//! Choosing the next token from logits.
//!
//! Logits pass through the penalties, then temperature, top-k, top-p and min-p, and one draw
//! chooses among what is left. Nothing is allocated per token and nothing is sorted as a whole:
//! a step over 150,000 logits mostly costs one pass that finds the maximum of each block.

mod draws;
mod filters;
mod penalties;
mod scan;
mod shortlist;

use engine_core::{Error, GenerateParams, Result, TokenId};

use self::{
    draws::{Draws, fresh_seed},
    filters::Filters,
    penalties::Penalties,
    scan::Scan,
    shortlist::{Shortlist, Step},
};

/// Chooses the tokens of one generation.
///
/// The choice at step `n` depends on the logits, the seed and `n` alone.
#[derive(Debug)]
pub struct Sampler {
    backend: String,
    penalties: Option<Penalties>,
    random: Option<Random>,
    step: u64,
    /// Logits after the penalties.
    penalized: Vec<f32>,
    scan: Scan,
}

/// What a temperature above 0 needs.
#[derive(Debug)]
struct Random {
    seed: u64,
    draws: Draws,
    filters: Filters,
    shortlist: Shortlist,
}

impl Sampler {
    /// A sampler for one generation after `prompt`. `backend` is named in errors.
    ///
    /// # Errors
    /// [`Error::Backend`] if a seed is to be drawn and the system gives no random numbers.
    pub fn new(backend: &str, params: &GenerateParams, prompt: &[TokenId]) -> Result<Self> {
        let random = if params.temperature > 0.0 {
            let seed = match params.seed {
                Some(seed) => seed,
                None => fresh_seed()
                    .map_err(|error| Error::backend(backend, "draw a random seed", error))?,
            };
            Some(Random {
                seed,
                draws: Draws::new(seed),
                filters: Filters::new(params),
                shortlist: Shortlist::default(),
            })
        } else {
            None
        };
        Ok(Self {
            backend: backend.to_owned(),
            penalties: params
                .has_penalties()
                .then(|| Penalties::new(params, prompt)),
            random,
            step: 0,
            penalized: Vec::new(),
            scan: Scan::default(),
        })
    }

    /// The seed in use; `None` if no random choice is made.
    pub fn seed(&self) -> Option<u64> {
        self.random.as_ref().map(|random| random.seed)
    }

    /// Chooses the next token; without randomness the first of the likeliest.
    ///
    /// # Errors
    /// [`Error::Backend`] for logits among which is NaN or positive infinity, or nothing finite: a
    /// model that computes such numbers has failed.
    pub fn choose(&mut self, logits: &[f32]) -> Result<TokenId> {
        let number = self.step;
        self.step += 1;
        let (step, random) = self.prepare(logits)?;
        Ok(match random {
            None => step.scan.first_of(step.logits, step.top),
            Some(random) => {
                let draw = random.draws.at(number);
                random.shortlist.choose(step, &random.filters, draw)
            }
        })
    }

    /// The tokens that [`Sampler::choose`] could choose for these logits, in ascending order, with
    /// their probabilities.
    ///
    /// # Errors
    /// As [`Sampler::choose`].
    pub fn distribution(&mut self, logits: &[f32]) -> Result<Vec<(TokenId, f64)>> {
        let (step, random) = self.prepare(logits)?;
        Ok(match random {
            None => vec![(step.scan.first_of(step.logits, step.top), 1.0)],
            Some(random) => random.shortlist.distribution(step, &random.filters),
        })
    }

    /// Notes that a token has been generated, for the penalties.
    pub fn note(&mut self, token: TokenId) {
        if let Some(penalties) = &mut self.penalties {
            penalties.note(token);
        }
    }

    /// Applies the penalties and looks at all logits once.
    fn prepare<'a>(&'a mut self, logits: &'a [f32]) -> Result<(Step<'a>, Option<&'a mut Random>)> {
        let logits = match &self.penalties {
            None => logits,
            Some(penalties) => {
                self.penalized.clear();
                self.penalized.extend_from_slice(logits);
                penalties.apply(&mut self.penalized);
                &self.penalized
            }
        };
        let top = self.scan.run(logits).ok_or_else(|| {
            Error::backend(
                &self.backend,
                "compute sound logits",
                "they hold NaN or infinity, or nothing finite",
            )
        })?;
        let scan = &mut self.scan;
        Ok((Step { logits, scan, top }, self.random.as_mut()))
    }
}
