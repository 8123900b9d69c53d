//! `cargo xtask bench mlx`: `engine-mlx` against mlx-lm on models with random weights.
//!
//! The script that compares them also runs by itself, in a folder that `cargo xtask pack` made, on
//! a machine that has neither Rust nor this workspace.

use std::path::PathBuf;

use crate::error::Error;
use crate::layout::Layout;
use crate::oracle::Oracle;
use crate::{process, setup};

/// The script, from the workspace's root.
pub(crate) const SCRIPT: &str = "xtask/python/compare.py";

/// Options of `cargo xtask bench mlx`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where both compute. For CUDA, see `cargo xtask pack`.
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    /// Shapes of the models, by commas: tiny, llama-3.2-1b, llama-3.1-8b, qwen3-30b-a3b.
    #[arg(long, default_value = "tiny")]
    shapes: String,
    /// Forms of the weights, by commas: 4bit, bf16.
    #[arg(long, default_value = "4bit,bf16")]
    forms: String,
    /// How often each side starts; each time it makes every measurement three times.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Device {
    Cpu,
    Metal,
}

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    setup::ensure(layout)?;
    let oracle = Oracle::set_up(layout)?;
    let measure = setup::build_example(layout, "engine-mlx", "measure", &[])?;
    let mut command = oracle.command();
    command
        .arg(layout.root().join(SCRIPT))
        .arg(measure)
        .arg(layout.models().join("random"))
        .arg(match arguments.device {
            Device::Cpu => "cpu",
            Device::Metal => "metal",
        })
        .args([&arguments.shapes, &arguments.forms])
        .arg(arguments.rounds.to_string())
        .args(&arguments.json);
    process::run_visibly(&mut command)
}
