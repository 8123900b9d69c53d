//! `cargo xtask demo`: brings the model, which then answers a question.
//!
//! It runs on MLX where a GPU answers, and on the processor otherwise, so MLX need not be set up;
//! with `--mlx` it is, and answers.

use crate::error::Error;
use crate::layout::Layout;
use crate::process;
use crate::progress::say;
use crate::{model, setup};

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to ask.
    #[arg(default_value = "What is the capital of France? Answer in one sentence.")]
    question: String,
    /// Set MLX up and answer on it, whichever device it has.
    #[arg(long)]
    mlx: bool,
}

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    if arguments.mlx {
        setup::ensure(layout)?;
    }
    model::ensure(layout)?;
    let backend: &[&str] = if arguments.mlx {
        &["--backend", "mlx"]
    } else {
        &[]
    };
    // Built as the tests are: a release build would take minutes of its own,
    // and what computes is optimised either way.
    say("Building the command `mlxengine` (minutes at first, with its dependencies)");
    let mut build = setup::cargo_with_mlx();
    build
        .args(["build", "--package", "mlxengine-cli"])
        .current_dir(layout.root());
    process::run_visibly(&mut build)?;

    say(&format!(
        "\n$ {} \"{}\"",
        [&["mlxengine", "generate"], backend].concat().join(" "),
        arguments.question
    ));
    let mut answer = setup::cargo_with_mlx();
    answer
        .args(["run", "--quiet", "--package", "mlxengine-cli", "--"])
        .args(["generate", "--temperature", "0", "--max-tokens", "100"])
        .args(backend)
        .arg("--model")
        .arg(model::path(layout, model::Form::Mlx))
        .arg(&arguments.question)
        .current_dir(layout.root());
    process::run_visibly(&mut answer)
}
