//! How to generate: the one place with the ranges.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Error, Field, FieldSet, Result, TokenId};

/// Settings of one generation.
///
/// [`GenerateParams::fields_set`] lists the fields that ask for something; an engine honours each of
/// them or refuses the request. Unknown keys in JSON are errors.
///
/// Logits pass through repetition, presence and frequency penalties, then temperature, top-k,
/// top-p and min-p, in this order.
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
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_window: None,
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

    /// Whether every step takes the likeliest token as the model gives it: temperature 0 and no
    /// penalty.
    pub fn is_plain_greedy(&self) -> bool {
        self.temperature == 0.0 && !self.has_penalties()
    }

    /// Whether any penalty is on.
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
            (Field::RepetitionPenalty, self.repetition_penalty != 1.0),
            (Field::PresencePenalty, self.presence_penalty != 0.0),
            (Field::FrequencyPenalty, self.frequency_penalty != 0.0),
            (Field::PenaltyWindow, self.penalty_window.is_some()),
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
            Field::RepetitionPenalty => self.repetition_penalty = default.repetition_penalty,
            Field::PresencePenalty => self.presence_penalty = default.presence_penalty,
            Field::FrequencyPenalty => self.frequency_penalty = default.frequency_penalty,
            Field::PenaltyWindow => self.penalty_window = None,
            Field::Seed => self.seed = None,
            Field::Stop => self.stop.clear(),
            Field::StopTokens => self.stop_tokens.clear(),
            Field::IgnoreEos => self.ignore_eos = false,
            _ => {}
        }
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] naming the first field out of range. NaN is in no range.
    pub fn validate(&self) -> Result<()> {
        at_least_one(Field::MaxTokens, Some(self.max_tokens))?;
        within(
            Field::Temperature,
            self.temperature,
            (0.0..=10.0).contains(&self.temperature),
            "a number from 0 to 10",
        )?;
        within(
            Field::TopP,
            self.top_p,
            self.top_p > 0.0 && self.top_p <= 1.0,
            "a number above 0 and at most 1",
        )?;
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
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::InvalidParameter {
                field: Field::Stop,
                value: "\"\"".to_owned(),
                expected: Cow::Borrowed("texts of at least one character"),
            });
        }
        Ok(())
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
