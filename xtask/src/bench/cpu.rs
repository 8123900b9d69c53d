//! `cargo xtask bench cpu`: engine-cpu against llama.cpp, and against what the memory can do.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::figures::{Figure, Goal, median, table};
use super::llama::{LlamaBench, Work, pinned};
use super::random_model::{self, RandomModel};
use super::unreadable;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::model;
use crate::process;
use crate::progress;

/// Memory beyond weights and cache that a process may take, in bytes.
const SPARE: f64 = 100e6;
/// Sequences that decode together.
const BATCH: usize = 8;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often each side runs; the table has the medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often each side runs with the large models, which take long.
    #[arg(long, default_value_t = 3)]
    large_rounds: usize,
    /// Leave out the models of 1.5 and 7 billion weights, which take 15 GB of disk.
    #[arg(long)]
    without_large: bool,
    /// The most threads; the small model is measured with one, too.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the example `speed` prints.
#[derive(Debug, Deserialize)]
struct Speed {
    load_s: f64,
    weight_bytes: u64,
    kv_bytes: u64,
    peak_rss_kib: u64,
    prefill_tok_s: f64,
    decode_tok_s: f64,
}

#[derive(Debug, Deserialize)]
struct Bandwidth {
    read_gb_s: f64,
}

/// Our programs.
struct Ours {
    speed: PathBuf,
    bandwidth: PathBuf,
}

pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    model::ensure(layout)?;
    let small = model::path(layout, model::Form::Gguf);
    let llama = LlamaBench::ensure(layout)?;
    let ours = Ours::build(layout)?;
    let mut figures = Vec::new();
    for threads in [1, arguments.threads.max(1)] {
        small_model(&ours, &llama, &small, threads, arguments, &mut figures)?;
        if arguments.threads <= 1 {
            break;
        }
    }
    memory(&ours, &small, arguments.threads, &mut figures)?;
    if !arguments.without_large {
        for shape in [random_model::SMALL, random_model::LARGE] {
            let model = random_model::ensure(layout, shape)?;
            large_model(&ours, &llama, &model, arguments, &mut figures)?;
        }
    }
    progress::answer(&table(&figures));
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&figures).map_err(|e| unreadable(&e))?;
        layout::write_whole(path, &json)?;
    }
    Ok(())
}

impl Ours {
    fn build(layout: &Layout) -> Result<Self, Error> {
        let _step = progress::spinner("Building engine-cpu");
        process::run_quietly(
            process::cargo()
                .current_dir(layout.root())
                .args(["build", "--release", "--package", "engine-cpu"])
                .args(["--example", "speed", "--example", "bandwidth"]),
        )?;
        let folder = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| layout.root().join("target"), PathBuf::from)
            .join("release/examples");
        Ok(Self {
            speed: folder.join("speed"),
            bandwidth: folder.join("bandwidth"),
        })
    }

    fn speed(&self, model: &Path, threads: usize, plan: &[(&str, usize)]) -> Result<Speed, Error> {
        let mut command = pinned(&self.speed, threads);
        command
            .arg(model)
            .args(["--threads", &threads.to_string(), "--repeat", "1"]);
        for (option, value) in plan {
            command.arg(option).arg(value.to_string());
        }
        serde_json::from_str(&process::run_quietly(&mut command)?).map_err(|e| unreadable(&e))
    }

    fn measure(&self, model: &Path, threads: usize, work: Work) -> Result<f64, Error> {
        Ok(match work {
            Work::Prefill(tokens) => {
                let plan = [("--prompt", tokens), ("--new", 1)];
                self.speed(model, threads, &plan)?.prefill_tok_s
            }
            Work::Decode(tokens) => {
                let plan = [("--prompt", 1), ("--new", tokens)];
                self.speed(model, threads, &plan)?.decode_tok_s
            }
        })
    }

    /// GB a second that this machine reads.
    fn bandwidth(&self, threads: usize) -> Result<f64, Error> {
        let mut command = pinned(&self.bandwidth, threads);
        command.args(["--threads", &threads.to_string()]);
        let printed = process::run_quietly(&mut command)?;
        let measured: Bandwidth = serde_json::from_str(&printed).map_err(|e| unreadable(&e))?;
        Ok(measured.read_gb_s)
    }
}

/// Runs of both sides. Who goes first alternates, so that a machine that slows down harms both alike.
fn side_by_side(
    what: &str,
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64, Error>,
    mut theirs: impl FnMut() -> Result<f64, Error>,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (mut our_runs, mut their_runs) = (Vec::new(), Vec::new());
    for round in 0..rounds.max(1) {
        let _step = progress::spinner(&format!("{what}: round {} of {rounds}", round + 1));
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                our_runs.push(ours()?);
            } else {
                their_runs.push(theirs()?);
            }
        }
    }
    Ok((our_runs, their_runs))
}

fn in_words(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

fn small_model(
    ours: &Ours,
    llama: &LlamaBench,
    model: &Path,
    threads: usize,
    arguments: &Arguments,
    figures: &mut Vec<Figure>,
) -> Result<(), Error> {
    let on = in_words(threads);
    for (name, work, goal) in [
        ("decode, 128 tokens", Work::Decode(128), 1.5),
        ("prefill, 128 tokens", Work::Prefill(128), 2.0),
        ("prefill, 1024 tokens", Work::Prefill(1024), 2.0),
    ] {
        let name = format!("135M Q4_1, {name}, {on}");
        let (our_runs, their_runs) = side_by_side(
            &name,
            arguments.rounds,
            || ours.measure(model, threads, work),
            || llama.measure(model, threads, work),
        )?;
        let against = ("llama.cpp".to_owned(), their_runs);
        let goal = Goal::AtLeast(goal);
        figures.push(Figure::of_runs(name, "tok/s", our_runs, against, goal));
    }
    let plan = [("--prompt", 1), ("--new", 128)];
    let weight_bytes = ours.speed(model, threads, &plan)?.weight_bytes as f64;
    let (rates, limits) = side_by_side(
        &format!("share of the memory's speed, {on}"),
        arguments.rounds,
        || Ok(ours.measure(model, threads, Work::Decode(128))? * weight_bytes / 1e9),
        || ours.bandwidth(threads),
    )?;
    figures.push(Figure::of_runs(
        format!("135M Q4_1, weights read in decoding, {on}"),
        "GB/s",
        rates,
        ("a pure read".to_owned(), limits),
        Goal::AtLeast(0.75),
    ));
    let batched = |sequences| {
        let plan = [("--prompt", 1), ("--new", 64), ("--sequences", sequences)];
        Ok(ours.speed(model, threads, &plan)?.decode_tok_s)
    };
    let name = format!("135M Q4_1, {BATCH} sequences in all, {on}");
    let (many, one) = side_by_side(&name, arguments.rounds, || batched(BATCH), || batched(1))?;
    figures.push(Figure::of_runs(
        name,
        "tok/s",
        many,
        ("one sequence".to_owned(), one),
        Goal::AtLeast(4.0),
    ));
    Ok(())
}

/// The peak of resident memory, with a prompt of 1024 tokens.
fn memory(
    ours: &Ours,
    model: &Path,
    threads: usize,
    figures: &mut Vec<Figure>,
) -> Result<(), Error> {
    let speed = ours.speed(model, threads, &[("--prompt", 1024), ("--new", 16)])?;
    figures.push(peak("135M Q4_1", &speed));
    Ok(())
}

fn peak(name: &str, speed: &Speed) -> Figure {
    let held = (speed.weight_bytes + speed.kv_bytes) as f64;
    Figure::of_runs(
        format!("{name}, peak resident memory"),
        "MB",
        vec![speed.peak_rss_kib as f64 * 1024.0 / 1e6],
        (
            "weights + KV + 100 MB".to_owned(),
            vec![(held + SPARE) / 1e6],
        ),
        Goal::AtMost(1.0),
    )
}

fn large_model(
    ours: &Ours,
    llama: &LlamaBench,
    model: &RandomModel,
    arguments: &Arguments,
    figures: &mut Vec<Figure>,
) -> Result<(), Error> {
    let threads = arguments.threads.max(1);
    let rounds = arguments.large_rounds;
    let on = in_words(threads);
    let name = model.shape.name;
    for (what, work, goal) in [
        ("decode, 16 tokens", Work::Decode(16), 1.2),
        ("prefill, 128 tokens", Work::Prefill(128), 1.5),
    ] {
        let figure = format!("{name}, 4 bit, {what}, {on}");
        let mut best: Option<(Vec<f64>, Vec<f64>, &str)> = None;
        for (kind, path) in [("Q4_0", &model.q4_0), ("Q4_1", &model.q4_1)] {
            let (our_runs, their_runs) = side_by_side(
                &format!("{figure}, against {kind}"),
                rounds,
                || ours.measure(&model.mlx, threads, work),
                || llama.measure(path, threads, work),
            )?;
            // Against whichever of its own kinds is faster.
            if best
                .as_ref()
                .is_none_or(|(_, theirs, _)| median(&their_runs) > median(theirs))
            {
                best = Some((our_runs, their_runs, kind));
            }
        }
        if let Some((our_runs, their_runs, kind)) = best {
            let against = (format!("llama.cpp, {kind}"), their_runs);
            let goal = Goal::AtLeast(goal);
            figures.push(Figure::of_runs(figure, "tok/s", our_runs, against, goal));
        }
    }
    let bytes = model.shape.bytes_per_token();
    let (rates, limits) = side_by_side(
        &format!("{name}, share of the memory's speed"),
        rounds,
        || Ok(ours.measure(&model.mlx, threads, Work::Decode(16))? * bytes / 1e9),
        || ours.bandwidth(threads),
    )?;
    figures.push(Figure::of_runs(
        format!("{name}, weights read in decoding, {on}"),
        "GB/s",
        rates,
        ("a pure read".to_owned(), limits),
        Goal::AtLeast(0.85),
    ));
    let speed = ours.speed(&model.mlx, threads, &[("--prompt", 256), ("--new", 4)])?;
    figures.push(peak(name, &speed));
    figures.push(Figure::of_runs(
        format!("{name}, time to load"),
        "s",
        vec![speed.load_s],
        (
            "reading the weights once".to_owned(),
            vec![speed.weight_bytes as f64 / 1e9 / median(&last_rate(figures))],
        ),
        Goal::None,
    ));
    Ok(())
}

/// The last measured rate of a pure read.
fn last_rate(figures: &[Figure]) -> Vec<f64> {
    figures
        .iter()
        .rev()
        .find(|figure| figure.against == "a pure read")
        .map_or_else(|| vec![1.0], |figure| figure.their_runs.clone())
}
