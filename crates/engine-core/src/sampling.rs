//! Samplers with settings of their own, and the order in which all of them are applied.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Error, Field, GenerateParams, Result};

/// One sampler, as [`GenerateParams::sampler_order`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SamplerStage {
    /// Repetition, presence and frequency penalties.
    Penalties,
    /// [`GenerateParams::dry`].
    Dry,
    /// [`GenerateParams::temperature`].
    Temperature,
    /// [`GenerateParams::top_k`].
    TopK,
    /// [`GenerateParams::typical_p`].
    TypicalP,
    /// [`GenerateParams::top_p`].
    TopP,
    /// [`GenerateParams::min_p`].
    MinP,
    /// [`GenerateParams::xtc`].
    Xtc,
}

impl SamplerStage {
    /// The order where a request names none.
    pub const DEFAULT_ORDER: &'static [Self] = &[
        Self::Penalties,
        Self::Dry,
        Self::Temperature,
        Self::TopK,
        Self::TypicalP,
        Self::TopP,
        Self::MinP,
        Self::Xtc,
    ];

    /// The stage's name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Penalties => "penalties",
            Self::Dry => "dry",
            Self::Temperature => "temperature",
            Self::TopK => "top_k",
            Self::TypicalP => "typical_p",
            Self::TopP => "top_p",
            Self::MinP => "min_p",
            Self::Xtc => "xtc",
        }
    }

    /// The stage of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::DEFAULT_ORDER.iter().copied();
        all.find(|stage| stage.name() == name)
    }

    /// Whether it changes logits, and does not cut or scale the distribution.
    pub const fn is_penalty(self) -> bool {
        matches!(self, Self::Penalties | Self::Dry)
    }

    /// The field that makes this stage do something in these settings; `None` if it does nothing.
    fn asked_by(self, params: &GenerateParams) -> Option<Field> {
        let (field, asked) = match self {
            Self::Penalties if params.repetition_penalty != 1.0 => (Field::RepetitionPenalty, true),
            Self::Penalties if params.presence_penalty != 0.0 => (Field::PresencePenalty, true),
            Self::Penalties => (Field::FrequencyPenalty, params.frequency_penalty != 0.0),
            Self::Dry => (Field::Dry, params.dry.is_some()),
            Self::Temperature => (
                Field::Temperature,
                params.temperature != 0.0 && params.temperature != 1.0,
            ),
            Self::TopK => (Field::TopK, params.top_k.is_some()),
            Self::TypicalP => (Field::TypicalP, params.typical_p < 1.0),
            Self::TopP => (Field::TopP, params.top_p < 1.0),
            Self::MinP => (Field::MinP, params.min_p > 0.0),
            Self::Xtc => (Field::Xtc, params.xtc.is_some()),
        };
        asked.then_some(field)
    }

    /// Whether it does something in these settings.
    pub fn is_active(self, params: &GenerateParams) -> bool {
        self.asked_by(params).is_some()
    }
}

/// Exclude top choices: now and then the likeliest tokens are passed over, so that an answer leaves
/// the trodden path and stays sensible.
///
/// With the given probability, at a step where several tokens are at least as likely as `threshold`,
/// all of these but the least likely are left out. If an end-of-text token or the line break would
/// be among those left out, the step stays as it is. As in the sampler's first publication
/// (text-generation-webui, pull request 6335).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Xtc {
    /// How often, above 0 and at most 1. Default 0.5.
    pub probability: f32,
    /// The least probability of a top choice, above 0 and at most 0.5: above that no two tokens are
    /// as likely. Default 0.1.
    pub threshold: f32,
}

impl Default for Xtc {
    fn default() -> Self {
        Self {
            probability: 0.5,
            threshold: 0.1,
        }
    }
}

impl Xtc {
    fn validate(self) -> Result<()> {
        require(
            Field::Xtc,
            self.probability > 0.0 && self.probability <= 1.0,
            || format!("a probability of {}", self.probability),
            "of a probability above 0 and at most 1",
        )?;
        require(
            Field::Xtc,
            self.threshold > 0.0 && self.threshold <= 0.5,
            || format!("a threshold of {}", self.threshold),
            "of a threshold above 0 and at most 0.5",
        )
    }
}

/// Don't repeat yourself: a token that would prolong a repetition of what came before becomes the
/// less likely the longer the repetition is.
///
/// If the text ends in `n` tokens that came before, and `n` is at least `allowed_length`, then
/// `multiplier * base.powi(n - allowed_length)` is subtracted from the logit of the token that
/// followed them there. Repetitions don't reach across sequence breakers, and are counted up to 50
/// tokens. As in the sampler's first publication (text-generation-webui, pull request 5677).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dry {
    /// The penalty of a repetition of the allowed length, above 0 and at most 100. Default 0.8.
    pub multiplier: f32,
    /// By how much the penalty grows with each further token, from 1 to 10. Default 1.75.
    pub base: f32,
    /// The shortest repetition with a penalty, in tokens, from 1 to 50. Default 2.
    pub allowed_length: u32,
    /// How many of the last tokens of prompt and answer are looked at, at least 1. Default `None`:
    /// all.
    pub range: Option<u32>,
    /// A token whose text contains one of these, or that ends one of them, breaks a repetition; none
    /// may be empty. Default: line break, colon, quotation mark and asterisk.
    pub sequence_breakers: Vec<String>,
}

impl Default for Dry {
    fn default() -> Self {
        Self {
            multiplier: 0.8,
            base: 1.75,
            allowed_length: 2,
            range: None,
            sequence_breakers: ["\n", ":", "\"", "*"].map(str::to_owned).into(),
        }
    }
}

impl Dry {
    /// Repetitions are counted up to this many tokens.
    pub const LONGEST: u32 = 50;

    fn validate(&self) -> Result<()> {
        require(
            Field::Dry,
            self.multiplier > 0.0 && self.multiplier <= 100.0,
            || format!("a multiplier of {}", self.multiplier),
            "of a multiplier above 0 and at most 100",
        )?;
        require(
            Field::Dry,
            (1.0..=10.0).contains(&self.base),
            || format!("a base of {}", self.base),
            "of a base from 1 to 10",
        )?;
        require(
            Field::Dry,
            (1..=Self::LONGEST).contains(&self.allowed_length),
            || format!("an allowed length of {}", self.allowed_length),
            "of an allowed length from 1 to 50",
        )?;
        require(
            Field::Dry,
            self.range != Some(0),
            || "a range of 0".to_owned(),
            "of a range of at least 1",
        )?;
        require(
            Field::Dry,
            !self.sequence_breakers.iter().any(String::is_empty),
            || "an empty sequence breaker".to_owned(),
            "of sequence breakers of at least one character",
        )
    }
}

/// Mirostat 2.0: steers the surprise of the chosen tokens towards a target (Basu et al., 2021,
/// "Mirostat: A Neural Text Decoding Algorithm that Directly Controls Perplexity").
///
/// Tokens whose surprise, `-log2` of their probability, is above a bound are left out; the bound
/// begins at twice the target and follows from the surprise of what was chosen. It takes the place
/// of the filters and comes after penalties and temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mirostat {
    /// The target, in bits, above 0 and at most 20. Default 5.
    pub tau: f32,
    /// How fast the bound follows, above 0 and at most 1. Default 0.1.
    pub eta: f32,
}

impl Default for Mirostat {
    fn default() -> Self {
        Self { tau: 5.0, eta: 0.1 }
    }
}

impl Mirostat {
    fn validate(self) -> Result<()> {
        require(
            Field::Mirostat,
            self.tau > 0.0 && self.tau <= 20.0,
            || format!("a tau of {}", self.tau),
            "of a tau above 0 and at most 20",
        )?;
        require(
            Field::Mirostat,
            self.eta > 0.0 && self.eta <= 1.0,
            || format!("an eta of {}", self.eta),
            "of an eta above 0 and at most 1",
        )
    }
}

/// Checks the samplers' own settings, and that they don't contradict each other.
pub(crate) fn validate(params: &GenerateParams) -> Result<()> {
    params.xtc.map_or(Ok(()), Xtc::validate)?;
    params.dry.as_ref().map_or(Ok(()), Dry::validate)?;
    params.mirostat.map_or(Ok(()), Mirostat::validate)?;
    check_bias(params)?;
    check_order(params)?;
    if params.temperature == 0.0 {
        check_greedy(params)?;
    }
    if params.mirostat.is_some() {
        check_mirostat(params)?;
    }
    Ok(())
}

fn check_bias(params: &GenerateParams) -> Result<()> {
    let mut biases = params.logit_bias.iter();
    match biases.find(|(_, bias)| !(-100.0..=100.0).contains(*bias)) {
        None => Ok(()),
        Some((token, bias)) => require(
            Field::LogitBias,
            false,
            || format!("{bias} for token {token}"),
            "numbers from -100 to 100",
        ),
    }
}

/// Stages come once, and none that has something to do is missing.
fn check_order(params: &GenerateParams) -> Result<()> {
    let order = &params.sampler_order;
    for (index, stage) in order.iter().enumerate() {
        require(
            Field::SamplerOrder,
            !order[..index].contains(stage),
            || format!("{} twice", stage.name()),
            "a list in which each sampler comes once",
        )?;
    }
    if order.is_empty() {
        return Ok(());
    }
    let mut missing = SamplerStage::DEFAULT_ORDER
        .iter()
        .filter(|stage| !order.contains(stage));
    match missing.find_map(|stage| stage.asked_by(params)) {
        None => Ok(()),
        Some(field) => require(
            Field::SamplerOrder,
            false,
            || format!("a list without the sampler of {field}, which is set"),
            "a list of all samplers in use",
        ),
    }
}

/// What has no effect, or another one than it promises, where the likeliest token is always taken.
fn check_greedy(params: &GenerateParams) -> Result<()> {
    let needs_random = [
        (Field::TypicalP, params.typical_p < 1.0),
        (Field::Xtc, params.xtc.is_some()),
        (Field::Mirostat, params.mirostat.is_some()),
    ];
    for (field, set) in needs_random {
        require(
            field,
            !set,
            || "set at temperature 0".to_owned(),
            "left out at temperature 0, which always takes the likeliest token",
        )?;
    }
    let mut others_begun = false;
    for stage in params.stages() {
        require(
            Field::SamplerOrder,
            !(others_begun && stage.is_penalty() && stage.is_active(params)),
            || format!("{} behind other samplers", stage.name()),
            "penalties and dry first at temperature 0, since nothing is left after the likeliest \
             token is taken",
        )?;
        others_begun |= !stage.is_penalty();
    }
    Ok(())
}

fn check_mirostat(params: &GenerateParams) -> Result<()> {
    let filters = [
        SamplerStage::TopK,
        SamplerStage::TypicalP,
        SamplerStage::TopP,
        SamplerStage::MinP,
        SamplerStage::Xtc,
    ];
    match filters.iter().find_map(|stage| stage.asked_by(params)) {
        None => Ok(()),
        Some(field) => require(
            Field::Mirostat,
            false,
            || format!("set together with {field}"),
            "the only one to cut the distribution",
        ),
    }
}

/// An error that names the field unless `holds`.
pub(crate) fn require(
    field: Field,
    holds: bool,
    value: impl FnOnce() -> String,
    expected: &'static str,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::InvalidParameter {
        field,
        value: value(),
        expected: Cow::Borrowed(expected),
    })
}
