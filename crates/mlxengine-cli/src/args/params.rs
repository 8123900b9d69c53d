//! How to generate. Ranges are the engine's to check, so that there is one place with them.

use clap::Args;
use mlxengine::GenerateParams;

use super::{constraint::ConstraintArgs, sampling::SamplingArgs};

#[derive(Debug, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct ParamArgs {
    /// The most tokens to generate [default: 512]
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,

    /// From 0, always the likeliest token, to 10 [default: the publisher's, else 0.7]
    #[arg(long, short, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,

    /// Keep the likeliest tokens whose probabilities add up to this [default: the publisher's, else 1]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,

    /// Keep this many of the likeliest tokens [default: the publisher's, else all]
    #[arg(long, value_name = "N")]
    top_k: Option<u32>,

    /// Keep tokens at least this share as likely as the likeliest [default: the publisher's, else 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,

    /// Make tokens seen before less likely: 1 is none [default: the publisher's, else 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,

    /// Subtract this from the score of tokens already generated [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,

    /// Subtract this from a token's score for each time it was generated [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,

    /// How many of the last tokens the penalties look at [default: all]
    #[arg(long, value_name = "N")]
    penalty_window: Option<u32>,

    /// Seed of the random choice [default: a new one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// A text that ends the answer; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,

    /// A token that ends the answer; may be given several times
    #[arg(long, value_name = "ID")]
    stop_token: Vec<u32>,

    /// Go on after the model's end-of-text tokens
    #[arg(long)]
    ignore_eos: bool,

    #[command(flatten)]
    constraint: ConstraintArgs,

    #[command(flatten)]
    sampling: SamplingArgs,
}

impl ParamArgs {
    /// What is given, over what the model's configuration says.
    pub(crate) fn over(&self, model: &GenerateParams) -> GenerateParams {
        // Mirostat takes the place of the filters that the publisher recommends; given ones
        // contradict it, and the engine says so.
        let neutral = GenerateParams::default();
        let filters = if self.sampling.has_mirostat() {
            &neutral
        } else {
            model
        };
        let mut params = GenerateParams {
            max_tokens: self.max_tokens.unwrap_or(model.max_tokens),
            temperature: self.temperature.unwrap_or(model.temperature),
            top_p: self.top_p.unwrap_or(filters.top_p),
            top_k: self.top_k.or(filters.top_k),
            min_p: self.min_p.unwrap_or(filters.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(model.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(model.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(model.frequency_penalty),
            penalty_window: self.penalty_window.or(model.penalty_window),
            seed: self.seed,
            stop: self.stop.clone(),
            stop_tokens: self.stop_token.clone(),
            ignore_eos: self.ignore_eos,
            constraint: self.constraint.constraint(),
            typical_p: filters.typical_p,
            xtc: filters.xtc,
            ..model.clone()
        };
        self.sampling.apply(&mut params);
        params
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        params: ParamArgs,
    }

    fn over(arguments: &[&str], model: &GenerateParams) -> GenerateParams {
        let line = [&["mlxengine"], arguments].concat();
        Line::parse_from(line).params.over(model)
    }

    #[test]
    fn what_is_not_given_is_the_models() {
        let model = GenerateParams {
            temperature: 0.6,
            top_k: Some(20),
            ..GenerateParams::default()
        };
        assert_eq!(over(&[], &model), model);
        let given = over(&["--temperature", "0", "--top-p", "0.5"], &model);
        assert_eq!((given.temperature, given.top_p), (0.0, 0.5));
        assert_eq!(given.top_k, Some(20));
    }

    #[test]
    fn a_sampler_is_on_when_any_of_its_options_is_given() {
        let model = GenerateParams::default();
        let given = over(&["--xtc-threshold", "0.2"], &model);
        assert_eq!(given.xtc.map(|xtc| xtc.threshold), Some(0.2));
        let given = over(&["--dry-breaker", "-", "--dry-breaker", "\n"], &model);
        assert_eq!(given.dry.unwrap().sequence_breakers, ["-", "\n"]);
        let given = over(&["--logit-bias", "5=-1.5", "--logit-bias", "6=2"], &model);
        assert_eq!(given.logit_bias, [(5, -1.5), (6, 2.0)].into());
        let given = over(&["--sampler-order", "min_p,temperature"], &model);
        assert_eq!(given.sampler_order.len(), 2);
        assert_eq!(over(&["--logprobs"], &model).logprobs, Some(0));
        assert_eq!(over(&["--logprobs", "3"], &model).logprobs, Some(3));
        let given = over(&["--loop-guard"], &model);
        assert_eq!(given.loop_guard, Some(mlxengine::LoopGuard::default()));
        assert_eq!(over(&[], &model), model);
    }

    #[test]
    fn mirostat_takes_the_place_of_the_publishers_filters() {
        let model = GenerateParams {
            top_k: Some(20),
            top_p: 0.8,
            ..GenerateParams::default()
        };
        let given = over(&["--mirostat-tau", "3"], &model);
        assert_eq!((given.top_k, given.top_p), (None, 1.0));
        given.validate().unwrap();
        let contradicting = over(&["--mirostat-tau", "3", "--top-k", "5"], &model);
        assert!(contradicting.validate().is_err());
    }
}
