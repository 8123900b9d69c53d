//! `cargo xtask bench mlx-cpu`: `engine-mlx` against mlx-lm on MLX's CPU device.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::layout::{self, Layout};
use crate::model::{self, Form};
use crate::oracle::Oracle;
use crate::{process, progress, setup};

use super::figures::median;
use super::unreadable;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often each side runs; the table has the medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Tokens of the prompt whose reading is timed.
    #[arg(long, default_value_t = 128)]
    prompt_tokens: u32,
    /// Tokens of the answer whose generation is timed.
    #[arg(long, default_value_t = 48)]
    new_tokens: u32,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One side's speeds in one round.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Speed {
    prefill_tok_s: f64,
    decode_tok_s: f64,
}

/// What `mlxengine generate --json` says of the time it took.
#[derive(Debug, Deserialize)]
struct Measured {
    usage: Usage,
    timings: Timings,
}

#[derive(Debug, Deserialize)]
struct Usage {
    prompt_tokens: usize,
    generated_tokens: usize,
}

#[derive(Debug, Deserialize)]
struct Timings {
    prefill_s: f64,
    decode_s: f64,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    mlxengine: f64,
    mlx_lm: f64,
    /// How many times better than mlx-lm.
    ratio: f64,
    goal: f64,
    mlxengine_runs: Vec<f64>,
    mlx_lm_runs: Vec<f64>,
}

pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    setup::ensure(layout)?;
    model::ensure(layout)?;
    let folder = model::path(layout, Form::Mlx);
    let oracle = Oracle::set_up(layout)?;
    let ours = build(layout)?;

    let mut speeds = (Vec::new(), Vec::new());
    let mut starts = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds.max(1) {
        let step = progress::spinner(&format!("Round {} of {}", round + 1, arguments.rounds));
        // Who goes first alternates, so that a machine that slows down harms both alike.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                speeds.0.push(our_speed(&ours, &folder, arguments)?);
                starts.0.push(our_start(&ours, &folder)?);
            } else {
                speeds.1.push(their_speed(&oracle, &folder, arguments)?);
                starts.1.push(their_start(&oracle, &folder)?);
            }
        }
        drop(step);
    }

    let of = |speeds: &[Speed], pick: fn(&Speed) -> f64| speeds.iter().map(pick).collect();
    let figures = [
        faster(
            format!("decode, {} tokens", arguments.new_tokens),
            of(&speeds.0, |s| s.decode_tok_s),
            of(&speeds.1, |s| s.decode_tok_s),
        ),
        faster(
            format!("prefill, {} tokens", arguments.prompt_tokens),
            of(&speeds.0, |s| s.prefill_tok_s),
            of(&speeds.1, |s| s.prefill_tok_s),
        ),
        shorter(
            "process start to first token".to_owned(),
            starts.0,
            starts.1,
        ),
    ];
    progress::answer(&table(&figures));
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&figures).map_err(|e| unreadable(&e))?;
        layout::write_whole(path, &json)?;
    }
    Ok(())
}

/// Builds the command as users run it, and says where it is.
fn build(layout: &Layout) -> Result<PathBuf, Error> {
    let _step = progress::spinner("Building mlxengine");
    let printed = process::run_quietly(
        setup::cargo_with_mlx()
            .current_dir(layout.root())
            .args(["build", "--release", "--package", "mlxengine-cli"])
            .arg("--message-format=json"),
    )?;
    process::built_executable(&printed)
}

fn generate(ours: &Path, model: &Path) -> Command {
    let mut command = Command::new(ours);
    command
        .args(["generate", "--json", "--backend", "mlx", "--device", "cpu"])
        .args(["--temperature", "0"])
        .arg("--model")
        .arg(model);
    command
}

fn our_speed(ours: &Path, model: &Path, arguments: &Arguments) -> Result<Speed, Error> {
    // The same ids as measure.py feeds mlx-lm.
    let prompt: Vec<String> = (0..arguments.prompt_tokens)
        .map(|i| (100 + i % 1000).to_string())
        .collect();
    let printed = process::run_quietly(
        generate(ours, model)
            .args(["--tokens", &prompt.join(",")])
            .args(["--max-tokens", &arguments.new_tokens.to_string()])
            .arg("--ignore-eos"),
    )?;
    let Measured { usage, timings } = serde_json::from_str(&printed).map_err(|e| unreadable(&e))?;
    Ok(Speed {
        prefill_tok_s: usage.prompt_tokens as f64 / timings.prefill_s,
        decode_tok_s: usage.generated_tokens.saturating_sub(1) as f64 / timings.decode_s,
    })
}

fn their_speed(oracle: &Oracle, model: &Path, arguments: &Arguments) -> Result<Speed, Error> {
    let (prompt, new) = (
        arguments.prompt_tokens.to_string(),
        arguments.new_tokens.to_string(),
    );
    let printed = oracle.run(
        include_str!("../../python/measure.py"),
        &[model, Path::new(&prompt), Path::new(&new)],
    )?;
    serde_json::from_str(&printed).map_err(|e| unreadable(&e))
}

/// Seconds from process start to the end of an answer of one token, to a prompt of one token.
fn our_start(ours: &Path, model: &Path) -> Result<f64, Error> {
    timed(generate(ours, model).args(["--raw", "--max-tokens", "1", "Once"]))
}

fn their_start(oracle: &Oracle, model: &Path) -> Result<f64, Error> {
    timed(
        oracle
            .command()
            .args(["-m", "mlx_lm", "generate", "--ignore-chat-template"])
            .args(["--max-tokens", "1", "--prompt", "Once", "--model"])
            .arg(model),
    )
}

fn timed(command: &mut Command) -> Result<f64, Error> {
    let start = Instant::now();
    process::run_quietly(command)?;
    Ok(start.elapsed().as_secs_f64())
}

fn faster(figure: String, ours: Vec<f64>, theirs: Vec<f64>) -> Figure {
    let (a, b) = (median(&ours), median(&theirs));
    Figure {
        name: figure,
        unit: "tok/s",
        mlxengine: a,
        mlx_lm: b,
        ratio: a / b,
        goal: 1.0,
        mlxengine_runs: ours,
        mlx_lm_runs: theirs,
    }
}

fn shorter(figure: String, ours: Vec<f64>, theirs: Vec<f64>) -> Figure {
    let (a, b) = (median(&ours), median(&theirs));
    Figure {
        name: figure,
        unit: "s",
        mlxengine: a,
        mlx_lm: b,
        ratio: b / a,
        goal: 4.0,
        mlxengine_runs: ours,
        mlx_lm_runs: theirs,
    }
}

fn table(figures: &[Figure]) -> String {
    let mut lines = vec![
        format!(
            "| {:<30} | {:>10} | {:>14} | {:>12} | {:>12} |",
            "MLX's CPU device, medians", "mlxengine", "mlx-lm 0.32.2", "times better", "goal"
        ),
        "| --- | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    lines.extend(figures.iter().map(|f| {
        let met = if f.ratio >= f.goal { "met" } else { "NOT met" };
        format!(
            "| {:<30} | {:>10} | {:>14} | {:>12.2} | {:>12} |",
            f.name,
            format!("{:.2} {}", f.mlxengine, f.unit),
            format!("{:.2} {}", f.mlx_lm, f.unit),
            f.ratio,
            format!("{:.0}, {met}", f.goal),
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_said_so() {
        let lines = table(&[
            faster("decode".to_owned(), vec![9.0], vec![10.0]),
            shorter("start".to_owned(), vec![1.0], vec![8.0]),
        ]);
        assert!(lines.contains("0.90 |   1, NOT met"), "{lines}");
        assert!(lines.contains("8.00 |       4, met"), "{lines}");
    }
}
