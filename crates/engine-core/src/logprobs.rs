//! How likely the model found what was chosen.

use serde::{Deserialize, Serialize};

use crate::TokenId;

/// A token and its log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token.
    pub token: TokenId,
    /// Natural logarithm of its probability, at most 0.
    pub logprob: f32,
}

/// The log-probability of a chosen token, and of the tokens that the model found likeliest.
///
/// All of the model's own distribution: the softmax of its logits at temperature 1, before
/// constraints, biases, penalties and samplers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// The chosen token.
    #[serde(flatten)]
    pub chosen: TokenLogprob,
    /// As many of the likeliest tokens as
    /// [`GenerateParams::logprobs`](crate::GenerateParams::logprobs) asks for, likeliest first; of
    /// equally likely ones the lower token first. The chosen one may be among them.
    pub top: Vec<TokenLogprob>,
}
