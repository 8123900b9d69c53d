//! `cargo xtask bench`: speed against a peer, side by side in one run, as medians.

mod chat;
mod cpu;
mod download;
mod figures;
mod llama;
pub(crate) mod mlx;
mod mlx_cpu;
mod random_model;

use crate::error::Error;
use crate::layout::Layout;

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// A long chat: its late turns against its early ones.
    Chat(chat::Arguments),
    /// The processor: engine-cpu against llama.cpp, built here from its source.
    Cpu(cpu::Arguments),
    /// Fetching a model, against Python's `huggingface_hub` and `hf-hub`.
    Download(download::Arguments),
    /// `engine-mlx` against mlx-lm, on MLX's CPU device and the small test model.
    MlxCpu(mlx_cpu::Arguments),
    /// `engine-mlx` against mlx-lm, on models with random weights in well-known shapes.
    Mlx(mlx::Arguments),
}

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.what {
        What::Chat(arguments) => chat::run(layout, arguments),
        What::Cpu(arguments) => cpu::run(layout, arguments),
        What::Download(arguments) => download::run(layout, arguments),
        What::MlxCpu(arguments) => mlx_cpu::run(layout, arguments),
        What::Mlx(arguments) => mlx::run(layout, arguments),
    }
}

/// Something that a benchmark read and can't make sense of.
fn unreadable(error: &serde_json::Error) -> Error {
    Error::Failed {
        program: "cargo xtask bench".to_owned(),
        detail: format!("a figure can't be read: {error}"),
    }
}
