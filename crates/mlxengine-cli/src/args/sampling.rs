//! Samplers beyond the usual ones, log-probabilities and the loop guard.

use clap::Args;
use mlxengine::{Dry, GenerateParams, LoopGuard, Mirostat, SamplerStage, TokenId, Xtc};

#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Keep the tokens of typical surprise whose probabilities add up to this [default: 1]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    typical_p: Option<f32>,

    /// XTC: how often the likeliest tokens are passed over [default: never; 0.5 with
    /// --xtc-threshold]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    xtc_probability: Option<f32>,

    /// XTC: how likely a token must be to be passed over [default: 0.1]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    xtc_threshold: Option<f32>,

    /// DRY: how strongly repetitions are made less likely [default: not at all; 0.8 with another
    /// option of DRY]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    dry_multiplier: Option<f32>,

    /// DRY: how the penalty grows with each further token of a repetition [default: 1.75]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    dry_base: Option<f32>,

    /// DRY: the shortest repetition with a penalty, in tokens [default: 2]
    #[arg(long, value_name = "N")]
    dry_allowed_length: Option<u32>,

    /// DRY: how many of the last tokens are looked at [default: all]
    #[arg(long, value_name = "N")]
    dry_range: Option<u32>,

    /// DRY: a text that breaks a repetition; may be given several times [default: line break,
    /// colon, quotation mark and asterisk]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    dry_breaker: Vec<String>,

    /// Add a number to the score of a token, as in 1234=-5; may be given several times
    #[arg(long, value_name = "ID=BIAS", value_parser = bias)]
    logit_bias: Vec<(TokenId, f32)>,

    /// Mirostat 2: the surprise to steer to, in bits, in place of the filters [default: off; 5 with
    /// --mirostat-eta]
    #[arg(long, value_name = "BITS", allow_negative_numbers = true)]
    mirostat_tau: Option<f32>,

    /// Mirostat 2: how fast it steers [default: 0.1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    mirostat_eta: Option<f32>,

    /// The order of the samplers, as in `temperature,top_k,top_p` [default:
    /// `penalties,dry,temperature,top_k,typical_p,top_p,min_p,xtc`]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = stage)]
    sampler_order: Vec<SamplerStage>,

    /// With --json: report each token's log-probability, and those of the N likeliest
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    logprobs: Option<u32>,

    /// End an answer that repeats a piece this often in a row [default: never; 4 without a number]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "4")]
    loop_guard: Option<u32>,
}

impl SamplingArgs {
    /// Puts what is given over the model's settings.
    pub(crate) fn apply(&self, params: &mut GenerateParams) {
        if let Some(typical_p) = self.typical_p {
            params.typical_p = typical_p;
        }
        params.xtc = self.xtc().or(params.xtc);
        params.dry = self.dry().or(params.dry.take());
        params.logit_bias.extend(self.logit_bias.iter().copied());
        params.mirostat = self.mirostat().or(params.mirostat);
        if !self.sampler_order.is_empty() {
            params.sampler_order.clone_from(&self.sampler_order);
        }
        params.logprobs = self.logprobs.or(params.logprobs);
        if let Some(repeats) = self.loop_guard {
            params.loop_guard = Some(LoopGuard {
                repeats,
                ..LoopGuard::default()
            });
        }
    }

    /// Whether mirostat takes the place of the filters.
    pub(crate) fn has_mirostat(&self) -> bool {
        self.mirostat().is_some()
    }

    fn xtc(&self) -> Option<Xtc> {
        let default = Xtc::default();
        (self.xtc_probability.is_some() || self.xtc_threshold.is_some()).then(|| Xtc {
            probability: self.xtc_probability.unwrap_or(default.probability),
            threshold: self.xtc_threshold.unwrap_or(default.threshold),
        })
    }

    fn dry(&self) -> Option<Dry> {
        let default = Dry::default();
        let is_set = self.dry_multiplier.is_some()
            || self.dry_base.is_some()
            || self.dry_allowed_length.is_some()
            || self.dry_range.is_some()
            || !self.dry_breaker.is_empty();
        is_set.then(|| Dry {
            multiplier: self.dry_multiplier.unwrap_or(default.multiplier),
            base: self.dry_base.unwrap_or(default.base),
            allowed_length: self.dry_allowed_length.unwrap_or(default.allowed_length),
            range: self.dry_range,
            sequence_breakers: if self.dry_breaker.is_empty() {
                default.sequence_breakers
            } else {
                self.dry_breaker.clone()
            },
        })
    }

    fn mirostat(&self) -> Option<Mirostat> {
        let default = Mirostat::default();
        (self.mirostat_tau.is_some() || self.mirostat_eta.is_some()).then(|| Mirostat {
            tau: self.mirostat_tau.unwrap_or(default.tau),
            eta: self.mirostat_eta.unwrap_or(default.eta),
        })
    }
}

fn bias(text: &str) -> Result<(TokenId, f32), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(token, bias)| Some((token.parse().ok()?, bias.parse().ok()?)));
    parsed.ok_or_else(|| "it must be a token's number, '=' and a number: 1234=-5".to_owned())
}

fn stage(name: &str) -> Result<SamplerStage, String> {
    SamplerStage::from_name(name).ok_or_else(|| {
        let names: Vec<_> = SamplerStage::DEFAULT_ORDER
            .iter()
            .map(|stage| stage.name())
            .collect();
        format!("it must be one of {}", names.join(", "))
    })
}
