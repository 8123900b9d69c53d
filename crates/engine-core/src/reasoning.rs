//! Whether and how long a model may think before it answers.

use serde::{Deserialize, Serialize};

/// The thinking of one request. It needs a prompt of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReasoningOptions {
    /// On, off, or as the model's chat template has it by default. An error where the model's
    /// template has no switch, unless the model does as asked anyway.
    pub thinking: Option<bool>,
    /// The most tokens to think. When they are spent, the engine writes what ends the thinking and
    /// the model goes on with its answer; 0 ends it at once. Tokens of tags count.
    /// Default `None`: no limit of its own.
    pub max_tokens: Option<u32>,
}

impl ReasoningOptions {
    /// With thinking on or off.
    #[must_use]
    pub fn with_thinking(mut self, on: bool) -> Self {
        self.thinking = Some(on);
        self
    }

    /// With a limit on the tokens spent on thinking.
    #[must_use]
    pub fn with_max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }
}
