//! `cargo xtask`: everything this workspace needs that Cargo has no word for.
//!
//! Each command is a file of its own; what they share is in [`layout`] (where
//! generated files live), [`process`] and [`python`] (running programs),
//! [`digest`] and [`progress`].

mod bench;
mod demo;
mod deps;
mod digest;
mod environment;
mod error;
mod layout;
mod metadata;
mod model;
mod oracle;
mod pack;
mod parity;
mod prerequisites;
mod process;
mod progress;
mod python;
mod quality;
mod setup;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::layout::Layout;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Arguments {
    /// The workspace to work on, where it is not the one this was built in.
    #[arg(long, global = true, hide = true, value_name = "FOLDER")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring MLX to this machine, so that the workspace builds with it.
    Setup(setup::Arguments),
    /// Bring the small real model that the tests and the demonstration use.
    Model(model::Arguments),
    /// Set everything up, then run every test of the workspace.
    Test(test::Arguments),
    /// Bring the small real model, then let it answer a question.
    Demo(demo::Arguments),
    /// Compare `engine-mlx` with mlx-lm, answer by answer.
    Parity(parity::Arguments),
    /// Measure speed, side by side with a peer.
    Bench(bench::Arguments),
    /// Make a folder with which a machine without Rust runs and measures `engine-mlx`.
    Pack(pack::Arguments),
    /// Compare engine-cpu's answers with those of MLX in f32.
    Quality(quality::Arguments),
    /// Check that crates depend on each other only as the layers allow.
    Deps,
    /// Check the rules for files that no other tool knows.
    Tidy,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<(), Error> {
    let layout = match arguments.root {
        Some(root) => Layout::at(&root)?,
        None => Layout::of_this_workspace()?,
    };
    match arguments.command {
        Command::Setup(arguments) => setup::run(&layout, &arguments),
        Command::Model(arguments) => model::run(&layout, &arguments),
        Command::Test(arguments) => test::run(&layout, &arguments),
        Command::Demo(arguments) => demo::run(&layout, &arguments),
        Command::Parity(arguments) => parity::run(&layout, &arguments),
        Command::Bench(arguments) => bench::run(&layout, &arguments),
        Command::Pack(arguments) => pack::run(&layout, &arguments),
        Command::Quality(arguments) => quality::run(&layout, &arguments),
        Command::Deps => deps::run(&layout),
        Command::Tidy => tidy::run(&layout),
    }
}
