//! `cargo xtask bench chat`: what a turn of a long chat costs before its answer begins.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::figures::{Figure, Goal, median, table};
use super::llama::pinned;
use super::unreadable;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::model;
use crate::process;
use crate::progress;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often the chat is held, with the prompt cache and without.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Turns of the chat, at least 2.
    #[arg(long, default_value_t = 20)]
    turns: usize,
    /// Tokens of each answer.
    #[arg(long, default_value_t = 32)]
    answer: usize,
    /// Threads that compute.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the example `chat_turns` prints of a turn.
#[derive(Clone, Debug, Deserialize)]
struct Turn {
    prompt_tokens: usize,
    cached_prompt_tokens: usize,
    first_token_s: f64,
}

/// A turn over all rounds.
#[derive(Debug, Serialize)]
struct Line {
    turn: usize,
    prompt_tokens: usize,
    cached_prompt_tokens: usize,
    first_token_ms: f64,
    first_token_ms_without_cache: f64,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    figures: &'a [Figure],
    turns: &'a [Line],
}

pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    let turns = arguments.turns.max(2);
    model::ensure(layout)?;
    let program = build(layout)?;
    let hold = |cache: bool| -> Result<Vec<Turn>, Error> {
        let mut command = pinned(&program, arguments.threads);
        command
            .arg(model::path(layout, model::Form::Mlx))
            .args(["--turns", &turns.to_string()])
            .args(["--answer", &arguments.answer.to_string()])
            .args(["--threads", &arguments.threads.to_string()]);
        if !cache {
            command.arg("--without-cache");
        }
        let held: Vec<Turn> = serde_json::from_str(&process::run_quietly(&mut command)?)
            .map_err(|error| unreadable(&error))?;
        if held.len() == turns {
            Ok(held)
        } else {
            Err(Error::Failed {
                program: "chat_turns".to_owned(),
                detail: format!("{} turns came instead of {turns}", held.len()),
            })
        }
    };
    let rounds = arguments.rounds.max(1);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let _step = progress::spinner(&format!("chat: round {} of {rounds}", round + 1));
        with.push(hold(true)?);
        without.push(hold(false)?);
    }
    let of = |rounds: &[Vec<Turn>], turn: usize| -> Vec<f64> {
        let turns = rounds.iter().map(|round| &round[turn - 1]);
        turns.map(|turn| 1e3 * turn.first_token_s).collect()
    };
    let figures = [
        Figure::of_runs(
            format!("135M 4 bit, turn {turns} begins to answer"),
            "ms",
            of(&with, turns),
            ("turn 2".to_owned(), of(&with, 2)),
            Goal::AtMost(1.5),
        ),
        Figure::of_runs(
            format!("135M 4 bit, turn {turns} begins to answer"),
            "ms",
            of(&with, turns),
            ("without the cache".to_owned(), of(&without, turns)),
            Goal::None,
        ),
    ];
    let lines: Vec<Line> = with[0]
        .iter()
        .zip(1..)
        .map(|(held, turn)| Line {
            turn,
            prompt_tokens: held.prompt_tokens,
            cached_prompt_tokens: held.cached_prompt_tokens,
            first_token_ms: median(&of(&with, turn)),
            first_token_ms_without_cache: median(&of(&without, turn)),
        })
        .collect();
    progress::answer(&table(&figures));
    progress::answer(&turn_table(&lines));
    if let Some(path) = &arguments.json {
        let report = Report {
            figures: &figures,
            turns: &lines,
        };
        let json = serde_json::to_string_pretty(&report).map_err(|error| unreadable(&error))?;
        layout::write_whole(path, &json)?;
    }
    Ok(())
}

fn turn_table(lines: &[Line]) -> String {
    let mut rows = vec![
        "| turn | prompt | cached | first token | without the cache |".to_owned(),
        "| ---: | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    rows.extend(lines.iter().map(|line| {
        format!(
            "| {} | {} | {} | {:.1} ms | {:.1} ms |",
            line.turn,
            line.prompt_tokens,
            line.cached_prompt_tokens,
            line.first_token_ms,
            line.first_token_ms_without_cache
        )
    }));
    rows.join("\n")
}

fn build(layout: &Layout) -> Result<PathBuf, Error> {
    let _step = progress::spinner("Building the chat");
    process::run_quietly(
        process::cargo()
            .current_dir(layout.root())
            .args(["build", "--release", "--package", "mlxengine"])
            .args(["--no-default-features", "--features", "cpu"])
            .args(["--example", "chat_turns"]),
    )?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| layout.root().join("target"), PathBuf::from);
    Ok(target.join("release/examples/chat_turns"))
}
