//! `cargo xtask quality`: how near engine-cpu's numbers come to those of MLX in f32.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::layout::{self, Layout};
use crate::{model, process, progress, setup};

/// The mean divergence of next-token distributions, in nats, that the default may have.
const MOST_DIVERGENCE: f64 = 2e-3;
/// The share by which its perplexity may differ.
const MOST_PERPLEXITY: f64 = 0.005;
/// How much likelier, in nats, the reference may find its own choice of a token for the two to count
/// as nearly tied.
const NEAR_TIE: f64 = 0.1;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Tokens of text to score.
    #[arg(long, default_value_t = 2000)]
    tokens: usize,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the example `quality` prints.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    tokens: usize,
    scores: Vec<Score>,
    answers: Vec<Answer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Score {
    subject: String,
    mean_kl: f64,
    largest_kl: f64,
    perplexity: f64,
    mlx_perplexity: f64,
    /// The share of positions where both find the same token the likeliest.
    same_likeliest: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    prompt: String,
    equal_tokens: usize,
    /// `None` if the answers are equal to their end.
    parted_by_nats: Option<f64>,
}

pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    setup::ensure(layout)?;
    model::ensure(layout)?;
    let workshop = layout.lock()?;
    let unfinished = workshop.unfinished()?;
    let text = unfinished.path().join("text");
    let read = |name: &str| {
        let path = layout.root().join(name);
        std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))
    };
    let pages = read("README.md")? + &read("docs/architecture.md")?;
    layout::write_whole(&text, &pages)?;
    let printed = {
        let _step = progress::spinner("Comparing with MLX, whose CPU device takes its minutes");
        process::run_quietly(
            setup::cargo_with_mlx()
                .current_dir(layout.root())
                .args(["run", "--quiet", "--release", "--package", "mlxengine"])
                .args(["--example", "quality", "--"])
                .arg(model::path(layout, model::Form::Gguf))
                .arg(layout.root().join("tests/parity/prompts.json"))
                .arg(&text)
                .arg(arguments.tokens.to_string()),
        )?
    };
    let report: Report = serde_json::from_str(&printed).map_err(|e| unreadable(&e))?;
    progress::answer(&tables(&report));
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&report).map_err(|e| unreadable(&e))?;
        layout::write_whole(path, &json)?;
    }
    Ok(())
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::Failed {
        program: "cargo xtask quality".to_owned(),
        detail: format!("a figure can't be read: {error}"),
    }
}

fn tables(report: &Report) -> String {
    let mut lines = vec![
        format!(
            "| {:<22} | {:>9} | {:>9} | {:>10} | {:>15} | {:>9} | {:<8} |",
            format!("{} tokens", report.tokens),
            "mean KL",
            "largest",
            "perplexity",
            "MLX's",
            "same best",
            "goal"
        ),
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |".to_owned(),
    ];
    lines.extend(report.scores.iter().map(|score| {
        let apart = score.perplexity / score.mlx_perplexity - 1.0;
        let met = score.mean_kl <= MOST_DIVERGENCE && apart.abs() <= MOST_PERPLEXITY;
        format!(
            "| {:<22} | {:>9.2e} | {:>9.2e} | {:>10.3} | {:>15} | {:>7.1} % | {:<8} |",
            score.subject,
            score.mean_kl,
            score.largest_kl,
            score.perplexity,
            format!("{:.3} ({:+.2} %)", score.mlx_perplexity, 100.0 * apart),
            100.0 * score.same_likeliest,
            if met { "met" } else { "NOT met" },
        )
    }));
    lines.push(String::new());
    lines.push(format!(
        "| {:<14} | {:>12} | {:<40} |",
        "prompt", "equal tokens", "then"
    ));
    lines.push("| --- | ---: | --- |".to_owned());
    lines.extend(report.answers.iter().map(|answer| {
        let then = match answer.parted_by_nats {
            None => "equal to the end".to_owned(),
            Some(nats) if nats <= NEAR_TIE => format!("a near-tie, {nats:.4} nats apart"),
            Some(nats) => format!("DIFFERENT, {nats:.4} nats apart"),
        };
        format!(
            "| {:<14} | {:>12} | {then:<40} |",
            answer.prompt, answer.equal_tokens
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_that_are_missed_and_answers_that_differ_are_said_so() {
        let score = |mean_kl, perplexity| Score {
            subject: "default".to_owned(),
            mean_kl,
            largest_kl: 1.0,
            perplexity,
            mlx_perplexity: 10.0,
            same_likeliest: 0.98,
        };
        let answer = |parted_by_nats| Answer {
            prompt: "english".to_owned(),
            equal_tokens: 7,
            parted_by_nats,
        };
        let tables = |score, parted| {
            tables(&Report {
                tokens: 2000,
                scores: vec![score],
                answers: vec![answer(parted)],
            })
        };
        let good = tables(score(1e-3, 10.01), None);
        assert!(
            good.contains("| met") && good.contains("equal to the end"),
            "{good}"
        );
        let near = tables(score(3e-3, 10.0), Some(0.02));
        assert!(
            near.contains("NOT met") && near.contains("a near-tie"),
            "{near}"
        );
        let far = tables(score(1e-3, 10.1), Some(0.5));
        assert!(
            far.contains("NOT met") && far.contains("DIFFERENT"),
            "{far}"
        );
    }
}
