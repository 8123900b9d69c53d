//! How a model's publisher would have it generate.

use engine_core::GenerateParams;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Settings that a model's publisher recommends; what is `None` is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recommended {
    /// See [`GenerateParams::temperature`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// See [`GenerateParams::top_p`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// See [`GenerateParams::top_k`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// See [`GenerateParams::min_p`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// See [`GenerateParams::repetition_penalty`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
}

impl Recommended {
    /// From the members of `generation_config.json`, as transformers writes it. A value that is
    /// out of range counts as absent, and so does everything that is no sampling setting.
    pub fn from_generation_config(config: &Map<String, Value>) -> Self {
        let number = |name: &str| config.get(name).and_then(Value::as_f64).map(|n| n as f32);
        let mut found = Self {
            temperature: number("temperature"),
            top_p: number("top_p"),
            // 0 switches it off there.
            top_k: config
                .get("top_k")
                .and_then(Value::as_u64)
                .and_then(|k| u32::try_from(k).ok())
                .filter(|k| *k > 0),
            min_p: number("min_p"),
            repetition_penalty: number("repetition_penalty"),
        };
        if config.get("do_sample").and_then(Value::as_bool) == Some(false) {
            found.temperature = Some(0.0);
        }
        found.without_what_is_out_of_range()
    }

    fn without_what_is_out_of_range(self) -> Self {
        let in_range = |alone: &Self| alone.params().validate().is_ok();
        let mut kept = self.clone();
        let alone = |change: fn(&mut Self, &Self)| {
            let mut alone = Self::default();
            change(&mut alone, &self);
            in_range(&alone)
        };
        if !alone(|to, from| to.temperature = from.temperature) {
            kept.temperature = None;
        }
        if !alone(|to, from| to.top_p = from.top_p) {
            kept.top_p = None;
        }
        if !alone(|to, from| to.min_p = from.min_p) {
            kept.min_p = None;
        }
        if !alone(|to, from| to.repetition_penalty = from.repetition_penalty) {
            kept.repetition_penalty = None;
        }
        kept
    }

    /// Puts the settings over others.
    pub fn apply(&self, params: &mut GenerateParams) {
        params.temperature = self.temperature.unwrap_or(params.temperature);
        params.top_p = self.top_p.unwrap_or(params.top_p);
        params.top_k = self.top_k.or(params.top_k);
        params.min_p = self.min_p.unwrap_or(params.min_p);
        params.repetition_penalty = self.repetition_penalty.unwrap_or(params.repetition_penalty);
    }

    /// The settings over the defaults.
    pub fn params(&self) -> GenerateParams {
        let mut params = GenerateParams::default();
        self.apply(&mut params);
        params
    }
}
