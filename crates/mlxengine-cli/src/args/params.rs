//! How to generate. Ranges are the engine's to check, so that there is one place with them.

use clap::Args;
use mlxengine::GenerateParams;

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
}

impl ParamArgs {
    /// What is given, over what the model's configuration says.
    pub(crate) fn over(&self, model: &GenerateParams) -> GenerateParams {
        GenerateParams {
            max_tokens: self.max_tokens.unwrap_or(model.max_tokens),
            temperature: self.temperature.unwrap_or(model.temperature),
            top_p: self.top_p.unwrap_or(model.top_p),
            top_k: self.top_k.or(model.top_k),
            min_p: self.min_p.unwrap_or(model.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(model.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(model.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(model.frequency_penalty),
            penalty_window: self.penalty_window.or(model.penalty_window),
            seed: self.seed,
            stop: self.stop.clone(),
            stop_tokens: self.stop_token.clone(),
            ignore_eos: self.ignore_eos,
        }
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
}
