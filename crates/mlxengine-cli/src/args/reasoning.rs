//! Whether a model thinks before it answers, and whether that is shown.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use mlxengine::ReasoningOptions;

#[derive(Debug, Args)]
#[command(next_help_heading = "Reasoning")]
pub(crate) struct ReasoningArgs {
    /// Whether the model thinks before it answers [default: as its chat template has it]
    #[arg(long, value_enum)]
    think: Option<Switch>,

    /// The most tokens to think; then the engine ends the thought [default: no limit]
    #[arg(long, value_name = "N")]
    max_reasoning_tokens: Option<u32>,

    /// Whether thoughts are shown, on stderr [default: show at a terminal]
    #[arg(long, value_enum)]
    reasoning: Option<Visibility>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Visibility {
    Show,
    Hide,
}

impl ReasoningArgs {
    pub(crate) fn options(&self) -> ReasoningOptions {
        let mut options = ReasoningOptions::default();
        options.thinking = self.think.map(|think| think == Switch::On);
        options.max_tokens = self.max_reasoning_tokens;
        options
    }

    pub(crate) fn are_shown(&self) -> bool {
        self.reasoning.map_or_else(
            || io::stderr().is_terminal(),
            |reasoning| reasoning == Visibility::Show,
        )
    }
}
