//! How to generate. Ranges are the engine's to check, so that there is one place with them.

use clap::Args;
use mlxengine::GenerateParams;

#[derive(Debug, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct ParamArgs {
    /// The most tokens to generate
    #[arg(long, value_name = "N", default_value_t = GenerateParams::default().max_tokens)]
    max_tokens: u32,

    /// From 0, always the likeliest token, to 10
    #[arg(
        long,
        short,
        value_name = "T",
        default_value_t = GenerateParams::default().temperature,
        allow_negative_numbers = true
    )]
    temperature: f32,

    /// Keep the likeliest tokens whose probabilities add up to this
    #[arg(
        long,
        value_name = "P",
        default_value_t = GenerateParams::default().top_p,
        allow_negative_numbers = true
    )]
    top_p: f32,

    /// Keep this many of the likeliest tokens
    #[arg(long, value_name = "N")]
    top_k: Option<u32>,

    /// Keep tokens at least this share as likely as the likeliest
    #[arg(
        long,
        value_name = "P",
        default_value_t = GenerateParams::default().min_p,
        allow_negative_numbers = true
    )]
    min_p: f32,

    /// Make tokens seen before less likely: 1 is none
    #[arg(
        long,
        value_name = "X",
        default_value_t = GenerateParams::default().repetition_penalty,
        allow_negative_numbers = true
    )]
    repetition_penalty: f32,

    /// Subtract this from the score of tokens already generated
    #[arg(
        long,
        value_name = "X",
        default_value_t = GenerateParams::default().presence_penalty,
        allow_negative_numbers = true
    )]
    presence_penalty: f32,

    /// Subtract this from a token's score for each time it was generated
    #[arg(
        long,
        value_name = "X",
        default_value_t = GenerateParams::default().frequency_penalty,
        allow_negative_numbers = true
    )]
    frequency_penalty: f32,

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
    pub(crate) fn to_params(&self) -> GenerateParams {
        GenerateParams {
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            penalty_window: self.penalty_window,
            seed: self.seed,
            stop: self.stop.clone(),
            stop_tokens: self.stop_token.clone(),
            ignore_eos: self.ignore_eos,
        }
    }
}
