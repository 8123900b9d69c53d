//! `cargo xtask parity`: greedy answers of `engine-mlx` against mlx-lm's, token by token.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::layout::{self, Layout};
use crate::model::{self, Form};
use crate::oracle::Oracle;
use crate::{process, progress, setup};

/// How far apart, in nats, the reference's own scores of two tokens may be for the choice between
/// them to count as a near-tie.
const NEAR_TIE: f64 = 0.1;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Tokens to generate for each prompt.
    #[arg(long, default_value_t = 64)]
    max_tokens: u32,
    /// Tokens to compare where the processor computes in f16, which MLX emulates there: each takes
    /// mlx-lm seconds.
    #[arg(long, default_value_t = 8)]
    max_half_tokens: u32,
    /// The longest prompts that are compared in f16, in tokens.
    #[arg(long, default_value_t = 24)]
    max_half_prompt: u32,
    /// Keep mlx-lm's answers as the ones that the tests expect.
    #[arg(long)]
    write: bool,
}

/// One prompt of `tests/parity/prompts.json`.
#[derive(Debug, Deserialize)]
struct Prompt {
    name: String,
    text: Option<String>,
    messages: Option<serde_json::Value>,
}

/// What mlx-lm answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reference {
    name: String,
    rendered: String,
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    finish: String,
    /// For each step the likeliest tokens with their log-probabilities; left out of the kept file.
    #[serde(default, skip_serializing)]
    top: Vec<Vec<(u32, f64)>>,
}

/// What `mlxengine generate --json` answered.
#[derive(Debug, Deserialize)]
struct Answer {
    prompt: String,
    prompt_tokens: Vec<u32>,
    tokens: Vec<u32>,
    finish: Finish,
}

#[derive(Debug, Deserialize)]
struct Finish {
    reason: String,
}

/// The file that the tests compare with.
#[derive(Debug, Serialize)]
struct Expected<'a> {
    made_by: &'static str,
    oracle: &'static str,
    max_tokens: u32,
    answers: &'a [Reference],
}

/// How an answer compares with its reference.
#[derive(Debug, PartialEq)]
enum Verdict {
    Equal { tokens: usize },
    NearTie { at: usize, gap: f64 },
    Different { what: String },
}

/// One of our ways to read and compute the model, and the reference it is held against.
struct Subject {
    name: &'static str,
    model: PathBuf,
    compute: &'static str,
    reference: &'static str,
    max_tokens: u32,
    /// Whether a near-tie may be decided differently.
    near_ties: bool,
}

pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    setup::ensure(layout)?;
    model::ensure(layout)?;
    let folder = model::path(layout, Form::Mlx);
    let oracle = Oracle::set_up(layout)?;
    let wide = oracle.widened(layout, &folder)?;
    let prompts_file = layout.root().join("tests/parity/prompts.json");
    let prompts: Vec<Prompt> = parse(&read(&prompts_file)?, &prompts_file)?;

    let references = references(&oracle, &wide, &folder, &prompts_file, arguments)?;

    if arguments.write {
        keep(layout, &references["f32"], arguments.max_tokens)?;
    }

    let subjects = subjects(layout, wide, folder, arguments);
    let mut table = vec![format!(
        "| {:<13} | {:<13} | {:>6} | {:<8} | {:<40} |",
        "engine-mlx", "prompt", "tokens", "template", "greedy ids against mlx-lm 0.32.2, CPU"
    )];
    table.push("| --- | --- | ---: | --- | --- |".to_owned());
    let mut failures = 0;
    for subject in &subjects {
        for reference in &references[subject.reference] {
            let Some(prompt) = prompts.iter().find(|p| p.name == reference.name) else {
                continue;
            };
            let reference = &reference.cut_to(subject.max_tokens);
            let answer = ask(layout, subject, prompt)?;
            let same_text =
                answer.prompt == reference.rendered && answer.prompt_tokens == reference.prompt_ids;
            let verdict = compare(&answer, reference);
            let fine = same_text
                && match verdict {
                    Verdict::Equal { .. } => true,
                    Verdict::NearTie { .. } => subject.near_ties,
                    Verdict::Different { .. } => false,
                };
            failures += usize::from(!fine);
            table.push(format!(
                "| {:<13} | {:<13} | {:>6} | {:<8} | {:<40} |",
                subject.name,
                prompt.name,
                reference.prompt_ids.len(),
                if same_text { "equal" } else { "DIFFERS" },
                verdict.words(),
            ));
        }
    }
    progress::answer(&table.join("\n"));

    if failures > 0 {
        return Err(Error::Failed {
            program: "cargo xtask parity".to_owned(),
            detail: format!("{failures} answers differ from mlx-lm's, see the table"),
        });
    }
    Ok(())
}

/// mlx-lm's answers by the type in which it computed them.
fn references(
    oracle: &Oracle,
    wide: &Path,
    folder: &Path,
    prompts_file: &Path,
    arguments: &Arguments,
) -> Result<BTreeMap<&'static str, Vec<Reference>>, Error> {
    let mut references = BTreeMap::new();
    let (most, most_half) = (
        arguments.max_tokens.to_string(),
        arguments
            .max_half_tokens
            .min(arguments.max_tokens)
            .to_string(),
    );
    let longest_half = arguments.max_half_prompt.to_string();
    let runs: [(_, &Path, &[&str]); 2] = [
        ("f32", wide, &[&most]),
        ("f16", folder, &[&most_half, "float16", &longest_half]),
    ];
    for (name, folder, options) in runs {
        let _step = progress::spinner(&format!("mlx-lm answers, computing in {name}"));
        let options = options.iter().map(Path::new);
        let printed = oracle.run(
            include_str!("../python/reference.py"),
            &[folder, prompts_file]
                .into_iter()
                .chain(options)
                .collect::<Vec<_>>(),
        )?;
        let answers = printed
            .lines()
            .map(|line| parse(line, prompts_file))
            .collect::<Result<Vec<Reference>, _>>()?;
        references.insert(name, answers);
    }
    Ok(references)
}

/// Our ways to read and compute the model.
fn subjects(
    layout: &Layout,
    wide: PathBuf,
    folder: PathBuf,
    arguments: &Arguments,
) -> [Subject; 4] {
    [
        Subject {
            name: "f32 folder",
            model: wide,
            compute: "f32",
            reference: "f32",
            max_tokens: arguments.max_tokens,
            near_ties: false,
        },
        Subject {
            name: "folder in f32",
            model: folder.clone(),
            compute: "f32",
            reference: "f32",
            max_tokens: arguments.max_tokens,
            near_ties: false,
        },
        Subject {
            name: "GGUF in f32",
            model: model::path(layout, Form::Gguf),
            compute: "f32",
            reference: "f32",
            max_tokens: arguments.max_tokens,
            near_ties: false,
        },
        Subject {
            name: "folder in f16",
            model: folder,
            compute: "stored",
            reference: "f16",
            max_tokens: arguments.max_half_tokens.min(arguments.max_tokens),
            near_ties: true,
        },
    ]
}

/// Runs our command for one prompt.
fn ask(layout: &Layout, subject: &Subject, prompt: &Prompt) -> Result<Answer, Error> {
    let mut command = setup::cargo_with_mlx();
    command
        .current_dir(layout.root())
        .args(["run", "--quiet", "--package", "mlxengine-cli", "--"])
        .args(["generate", "--json", "--backend", "mlx", "--device", "cpu"])
        .args(["--temperature", "0", "--compute", subject.compute])
        .args(["--max-tokens", &subject.max_tokens.to_string()])
        .arg("--model")
        .arg(&subject.model);
    let unfinished = layout.lock()?.unfinished()?;
    let file = unfinished.path().join("messages.json");
    if let Some(messages) = &prompt.messages {
        layout::write_whole(&file, &messages.to_string())?;
        command.arg("--messages").arg(&file);
    } else {
        command
            .arg("--raw")
            .arg(prompt.text.as_deref().unwrap_or_default());
    }
    let _step = progress::spinner(&format!("engine-mlx: {}, {}", subject.name, prompt.name));
    parse(&process::run_quietly(&mut command)?, &file)
}

fn compare(answer: &Answer, reference: &Reference) -> Verdict {
    let first =
        (answer.tokens.iter().zip(&reference.ids)).position(|(ours, theirs)| ours != theirs);
    let Some(at) = first else {
        let (ours, theirs) = (answer.tokens.len(), reference.ids.len());
        return if ours == theirs && answer.finish.reason == reference.finish {
            Verdict::Equal { tokens: ours }
        } else {
            Verdict::Different {
                what: format!(
                    "{ours} tokens, {}; expected {theirs}, {}",
                    answer.finish.reason, reference.finish
                ),
            }
        };
    };
    let score = |token| {
        let top = reference.top.get(at)?;
        top.iter().find(|(id, _)| *id == token).map(|(_, p)| *p)
    };
    let (ours, theirs) = (answer.tokens[at], reference.ids[at]);
    match score(ours).zip(score(theirs)) {
        Some((a, b)) if (b - a).abs() <= NEAR_TIE => Verdict::NearTie {
            at,
            gap: (b - a).abs(),
        },
        _ => Verdict::Different {
            what: format!("{ours} instead of {theirs} at {at}"),
        },
    }
}

impl Reference {
    /// The answer as it would have been with at most so many tokens.
    fn cut_to(&self, max_tokens: u32) -> Self {
        let mut cut = self.clone();
        if cut.ids.len() >= max_tokens as usize {
            cut.ids.truncate(max_tokens as usize);
            "max_tokens".clone_into(&mut cut.finish);
        }
        cut
    }
}

impl Verdict {
    fn words(&self) -> String {
        match self {
            Self::Equal { tokens } => format!("equal ({tokens} tokens)"),
            Self::NearTie { at, gap } => format!("equal up to a near-tie at {at} ({gap:.4} nats)"),
            Self::Different { what } => format!("DIFFERENT: {what}"),
        }
    }
}

fn keep(layout: &Layout, answers: &[Reference], max_tokens: u32) -> Result<(), Error> {
    let path = layout.root().join("tests/parity/expected.json");
    let expected = Expected {
        made_by: "cargo xtask parity --write",
        oracle: "mlx-lm 0.32.2 on MLX's CPU device, f32",
        max_tokens,
        answers,
    };
    let text = serde_json::to_string(&expected).map_err(|e| Error::Failed {
        program: "cargo xtask parity".to_owned(),
        detail: e.to_string(),
    })?;
    // A line for each answer, so that a change shows which.
    let lines = text.replace("{\"name\":", "\n{\"name\":") + "\n";
    layout::write_whole(&path, &lines)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|e| Error::io("read", path, e))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, from: &Path) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|e| Error::Failed {
        program: "cargo xtask parity".to_owned(),
        detail: format!("{} or an answer to it can't be read: {e}", from.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(ids: &[u32]) -> Reference {
        Reference {
            name: "x".to_owned(),
            rendered: "x".to_owned(),
            prompt_ids: vec![1],
            ids: ids.to_vec(),
            finish: "max_tokens".to_owned(),
            top: ids
                .iter()
                .map(|id| vec![(*id, -0.5), (100, -0.55), (200, -3.0)])
                .collect(),
        }
    }

    fn answer(tokens: &[u32], reason: &str) -> Answer {
        Answer {
            prompt: "x".to_owned(),
            prompt_tokens: vec![1],
            tokens: tokens.to_vec(),
            finish: Finish {
                reason: reason.to_owned(),
            },
        }
    }

    #[test]
    fn the_same_ids_and_end_are_equal() {
        let verdict = compare(&answer(&[1, 2], "max_tokens"), &reference(&[1, 2]));
        assert_eq!(verdict, Verdict::Equal { tokens: 2 });
    }

    #[test]
    fn an_answer_that_ends_early_or_for_another_reason_differs() {
        for wrong in [answer(&[1], "max_tokens"), answer(&[1, 2], "end_of_text")] {
            let verdict = compare(&wrong, &reference(&[1, 2]));
            assert!(matches!(verdict, Verdict::Different { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn a_cut_reference_ends_as_a_shorter_answer_would() {
        let mut whole = reference(&[1, 2, 3]);
        whole.finish = "end_of_text".to_owned();
        assert_eq!(whole.cut_to(4).finish, "end_of_text");
        let cut = whole.cut_to(2);
        assert_eq!((cut.ids, cut.finish.as_str()), (vec![1, 2], "max_tokens"));
    }

    #[test]
    fn only_a_token_that_the_reference_scored_nearly_as_high_is_a_near_tie() {
        let near = compare(&answer(&[1, 100], "max_tokens"), &reference(&[1, 2]));
        assert!(matches!(near, Verdict::NearTie { at: 1, .. }), "{near:?}");
        for token in [200, 300] {
            let far = compare(&answer(&[1, token], "max_tokens"), &reference(&[1, 2]));
            assert!(matches!(far, Verdict::Different { .. }), "{far:?}");
        }
    }
}
