//! How to generate: the one place with the ranges.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{
    Constraint, Dry, Error, Field, FieldSet, LoopGuard, Mirostat, Result, SamplerStage, TokenId,
    Xtc,
    sampling::{self, require},
};

/// Settings of one generation.
///
/// [`GenerateParams::fields_set`] lists the fields that ask for something; an engine honours each of
/// them or refuses the request. Unknown keys in JSON are errors.
///
/// Tokens that [`GenerateParams::constraint`] forbids are ruled out first, and
/// [`GenerateParams::logit_bias`] is added. Then logits pass through the samplers in the order of
/// [`GenerateParams::sampler_order`], by default: repetition, presence and frequency penalties, DRY,
/// temperature, top-k, typical-p, top-p, min-p and XTC. Each sees the distribution that the one
/// before it left, made to add up to 1 again. Settings that contradict each other are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateParams {
    /// The most tokens to generate, at least 1. Default 512. The context's end comes first if it
    /// is nearer.
    pub max_tokens: u32,
    /// Softmax temperature, from 0 (always the likeliest token) to 10. Default 0.7.
    pub temperature: f32,
    /// Keep the likeliest tokens whose probabilities add up to this, in (0, 1]. Default 1: all.
    pub top_p: f32,
    /// Keep this many of the likeliest tokens, at least 1. Default `None`: all.
    pub top_k: Option<u32>,
    /// Keep tokens at least this share as likely as the likeliest, in [0, 1]. Default 0: all.
    pub min_p: f32,
    /// Keep the tokens whose surprise is nearest to the distribution's entropy and whose
    /// probabilities add up to this, in (0, 1]. Default 1: all. Locally typical sampling (Meister
    /// et al., 2022). Not at temperature 0.
    pub typical_p: f32,
    /// Now and then pass over the likeliest tokens. Default `None`: never. Not at temperature 0.
    pub xtc: Option<Xtc>,
    /// Divide positive and multiply negative logits of tokens seen before by this, in (0, 10].
    /// Default 1: no penalty. As in CTRL (Keskar et al., 2019), section 4.1.
    pub repetition_penalty: f32,
    /// Subtract this from the logit of every token generated before, from -2 to 2. Default 0.
    pub presence_penalty: f32,
    /// Subtract this from a token's logit once for each time it was generated, from -2 to 2.
    /// Default 0.
    pub frequency_penalty: f32,
    /// How many of the last tokens the penalties look at, at least 1. The repetition penalty sees
    /// prompt and answer, the other two the answer alone. Default `None`: all of them.
    pub penalty_window: Option<u32>,
    /// Make it the less likely to prolong a repetition the longer it is. Default `None`: no penalty.
    pub dry: Option<Dry>,
    /// Add these numbers, from -100 to 100, to the logits of these tokens. Default: none. A logit of
    /// negative infinity stays.
    pub logit_bias: BTreeMap<TokenId, f32>,
    /// Steer the surprise of chosen tokens, in place of the filters top-k, typical-p, top-p, min-p
    /// and XTC, with which it can't be combined. Default `None`. Not at temperature 0.
    pub mirostat: Option<Mirostat>,
    /// The order in which samplers are applied: each once, and all that are in use. Default: empty,
    /// which is [`SamplerStage::DEFAULT_ORDER`]. At temperature 0 penalties and DRY come first.
    pub sampler_order: Vec<SamplerStage>,
    /// Report the log-probability of each token with this many of the likeliest, from 0 to 100.
    /// Default `None`: none. For the distribution see [`TokenLogprobs`](crate::TokenLogprobs).
    pub logprobs: Option<u32>,
    /// The form that the answer must have. Default `None`: any. Not with `ignore_eos`, since an
    /// answer of that form has an end.
    pub constraint: Option<Constraint>,
    /// End an answer that repeats itself. Default `None`: never.
    pub loop_guard: Option<LoopGuard>,
    /// Seed of the random choice. Default `None`: a new one each time, reported in the summary.
    pub seed: Option<u64>,
    /// Texts that end the answer; they are not part of it. None may be empty.
    pub stop: Vec<String>,
    /// Tokens that end the answer beside the model's own; they are not part of it.
    pub stop_tokens: Vec<TokenId>,
    /// Go on after the model's end-of-text tokens, up to `max_tokens`: for benchmarks.
    pub ignore_eos: bool,
}

impl Default for GenerateParams {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            temperature: 0.7,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            typical_p: 1.0,
            xtc: None,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_window: None,
            dry: None,
            logit_bias: BTreeMap::new(),
            mirostat: None,
            sampler_order: Vec::new(),
            logprobs: None,
            constraint: None,
            loop_guard: None,
            seed: None,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            ignore_eos: false,
        }
    }
}

impl GenerateParams {
    /// Settings that always take the likeliest token.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            ..Self::default()
        }
    }

    /// With another limit on the number of tokens.
    #[must_use]
    pub fn with_max_tokens(mut self, max_tokens: u32) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// With another temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self
    }

    /// With a seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// With one more stop string.
    #[must_use]
    pub fn with_stop(mut self, stop: impl Into<String>) -> Self {
        self.stop.push(stop.into());
        self
    }

    /// With a form that the answer must have.
    #[must_use]
    pub fn with_constraint(mut self, constraint: Constraint) -> Self {
        self.constraint = Some(constraint);
        self
    }

    /// With log-probabilities of each token and of this many of the likeliest.
    #[must_use]
    pub fn with_logprobs(mut self, top: u32) -> Self {
        self.logprobs = Some(top);
        self
    }

    /// The samplers in the order in which they are applied, those without effect included.
    pub fn stages(&self) -> &[SamplerStage] {
        if self.sampler_order.is_empty() {
            SamplerStage::DEFAULT_ORDER
        } else {
            &self.sampler_order
        }
    }

    /// Whether every step takes the likeliest token as the model gives it and nothing else about
    /// its logits is asked for: temperature 0, no penalty, bias or constraint, no log-probabilities.
    pub fn is_plain_greedy(&self) -> bool {
        self.temperature == 0.0
            && !self.has_penalties()
            && self.dry.is_none()
            && self.logit_bias.is_empty()
            && self.constraint.is_none()
            && self.logprobs.is_none()
    }

    /// Whether the repetition, presence or frequency penalty is on.
    pub fn has_penalties(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
    }

    /// The fields that ask for something: `max_tokens` always, the others when they are not
    /// neutral. A temperature of 0 asks for nothing but the likeliest token.
    pub fn fields_set(&self) -> FieldSet {
        let default = Self::default();
        let asked = [
            (Field::MaxTokens, true),
            (Field::Temperature, self.temperature != 0.0),
            (Field::TopP, self.top_p != default.top_p),
            (Field::TopK, self.top_k.is_some()),
            (Field::MinP, self.min_p != default.min_p),
            (Field::TypicalP, self.typical_p != default.typical_p),
            (Field::Xtc, self.xtc.is_some()),
            (Field::RepetitionPenalty, self.repetition_penalty != 1.0),
            (Field::PresencePenalty, self.presence_penalty != 0.0),
            (Field::FrequencyPenalty, self.frequency_penalty != 0.0),
            (Field::PenaltyWindow, self.penalty_window.is_some()),
            (Field::Dry, self.dry.is_some()),
            (Field::LogitBias, !self.logit_bias.is_empty()),
            (Field::Mirostat, self.mirostat.is_some()),
            (Field::SamplerOrder, !self.sampler_order.is_empty()),
            (Field::Logprobs, self.logprobs.is_some()),
            (Field::Constraint, self.constraint.is_some()),
            (Field::LoopGuard, self.loop_guard.is_some()),
            (Field::Seed, self.seed.is_some()),
            (Field::Stop, !self.stop.is_empty()),
            (Field::StopTokens, !self.stop_tokens.is_empty()),
            (Field::IgnoreEos, self.ignore_eos),
        ];
        asked
            .into_iter()
            .filter_map(|(field, set)| set.then_some(field))
            .collect()
    }

    /// Makes one field neutral: it asks for nothing any more.
    pub fn reset(&mut self, field: Field) {
        let default = Self::default();
        match field {
            Field::MaxTokens => self.max_tokens = default.max_tokens,
            Field::Temperature => self.temperature = 0.0,
            Field::TopP => self.top_p = default.top_p,
            Field::TopK => self.top_k = None,
            Field::MinP => self.min_p = default.min_p,
            Field::TypicalP => self.typical_p = default.typical_p,
            Field::Xtc => self.xtc = None,
            Field::RepetitionPenalty => self.repetition_penalty = default.repetition_penalty,
            Field::PresencePenalty => self.presence_penalty = default.presence_penalty,
            Field::FrequencyPenalty => self.frequency_penalty = default.frequency_penalty,
            Field::PenaltyWindow => self.penalty_window = None,
            Field::Dry => self.dry = None,
            Field::LogitBias => self.logit_bias.clear(),
            Field::Mirostat => self.mirostat = None,
            Field::SamplerOrder => self.sampler_order.clear(),
            Field::Logprobs => self.logprobs = None,
            Field::Constraint => self.constraint = None,
            Field::LoopGuard => self.loop_guard = None,
            Field::Seed => self.seed = None,
            Field::Stop => self.stop.clear(),
            Field::StopTokens => self.stop_tokens.clear(),
            Field::IgnoreEos => self.ignore_eos = false,
            _ => {}
        }
    }

    /// Checks every field against its range, and that no two contradict each other.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] naming the first field at fault. NaN is in no range.
    pub fn validate(&self) -> Result<()> {
        at_least_one(Field::MaxTokens, Some(self.max_tokens))?;
        within(
            Field::Temperature,
            self.temperature,
            (0.0..=10.0).contains(&self.temperature),
            "a number from 0 to 10",
        )?;
        for (field, value) in [(Field::TopP, self.top_p), (Field::TypicalP, self.typical_p)] {
            within(
                field,
                value,
                value > 0.0 && value <= 1.0,
                "a number above 0 and at most 1",
            )?;
        }
        at_least_one(Field::TopK, self.top_k)?;
        within(
            Field::MinP,
            self.min_p,
            (0.0..=1.0).contains(&self.min_p),
            "a number from 0 to 1",
        )?;
        within(
            Field::RepetitionPenalty,
            self.repetition_penalty,
            self.repetition_penalty > 0.0 && self.repetition_penalty <= 10.0,
            "a number above 0 and at most 10",
        )?;
        for (field, value) in [
            (Field::PresencePenalty, self.presence_penalty),
            (Field::FrequencyPenalty, self.frequency_penalty),
        ] {
            within(
                field,
                value,
                (-2.0..=2.0).contains(&value),
                "a number from -2 to 2",
            )?;
        }
        at_least_one(Field::PenaltyWindow, self.penalty_window)?;
        require(
            Field::Stop,
            !self.stop.iter().any(String::is_empty),
            || "\"\"".to_owned(),
            "texts of at least one character",
        )?;
        require(
            Field::Logprobs,
            self.logprobs.is_none_or(|top| top <= 100),
            || self.logprobs.unwrap_or_default().to_string(),
            "a whole number from 0 to 100",
        )?;
        require(
            Field::IgnoreEos,
            !(self.ignore_eos && self.constraint.is_some()),
            || "set together with constraint".to_owned(),
            "left out where a constraint says how the answer ends",
        )?;
        self.loop_guard
            .as_ref()
            .map_or(Ok(()), LoopGuard::validate)?;
        sampling::validate(self)
    }
}

fn within(field: Field, value: f32, inside: bool, expected: &'static str) -> Result<()> {
    if inside {
        return Ok(());
    }
    Err(Error::InvalidParameter {
        field,
        value: value.to_string(),
        expected: Cow::Borrowed(expected),
    })
}

fn at_least_one(field: Field, value: Option<u32>) -> Result<()> {
    match value {
        Some(0) => Err(Error::InvalidParameter {
            field,
            value: "0".to_owned(),
            expected: Cow::Borrowed("a whole number, at least 1"),
        }),
        _ => Ok(()),
    }
}
