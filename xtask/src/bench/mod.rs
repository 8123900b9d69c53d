//! `cargo xtask bench`: speed against a peer, side by side in one run, as medians.

mod cpu;
mod figures;
mod llama;
mod random_model;

use crate::error::Error;
use crate::layout::Layout;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, clap::Subcommand)]
enum Subject {
    /// The processor: engine-cpu against llama.cpp, built here from its source.
    Cpu(cpu::Arguments),
}

pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.subject {
        Subject::Cpu(arguments) => cpu::run(layout, arguments),
    }
}

/// Something that a benchmark read and can't make sense of.
fn unreadable(error: &serde_json::Error) -> Error {
    Error::Failed {
        program: "cargo xtask bench".to_owned(),
        detail: format!("a figure can't be read: {error}"),
    }
}
