//! `mlxengine models verify`: whether files are what they should be.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlxengine::{
    ModelStore, StoreError,
    downloader::{CachedRevision, Commit, Finding, RepoFolder, VerifiedFile},
};
use serde::Serialize;

use super::in_cache;
use crate::{args::VerifyArgs, failure::Failure, note, output::Output, store};

#[derive(Serialize)]
struct Report {
    good: bool,
    models: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    model: String,
    commit: String,
    good: bool,
    files: Vec<File>,
    /// Bytes of damaged files that were deleted.
    repaired_bytes: u64,
}

#[derive(Serialize)]
struct File {
    path: String,
    bytes: u64,
    #[serde(flatten)]
    state: State,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    Good { digest: String },
    Damaged { expected: String, got: String },
    Unverifiable,
    Unreadable { reason: String },
}

pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let store = store::from_environment()?;
    let wanted = wanted(&store, args.model.as_deref()).map_err(Failure::Store)?;
    let total = total_bytes(&store, &wanted);
    let bar = bar(args, total);
    let mut models = Vec::new();
    for (folder, commit) in wanted {
        bar.set_message(folder.id());
        let verified = verify(&store, args.repair, &folder, &commit, &bar);
        models.push(verified.map_err(Failure::Store)?);
    }
    bar.finish_and_clear();
    let report = Report {
        good: models.iter().all(|model| model.good),
        models,
    };
    print(args, &report)?;
    if report.good {
        return Ok(());
    }
    Err(Failure::Damaged {
        repaired: args.repair,
    })
}

/// The commits of one model, or of all.
fn wanted(
    store: &ModelStore,
    model: Option<&str>,
) -> Result<Vec<(RepoFolder, Commit)>, StoreError> {
    if let Some(name) = model {
        return Ok(vec![in_cache(store, &store.find(name)?)?]);
    }
    let mut all = Vec::new();
    for repo in store.cache().contents().repos {
        for revision in &repo.revisions {
            all.push((repo.name.clone(), revision.commit.clone()));
        }
    }
    Ok(all)
}

fn total_bytes(store: &ModelStore, wanted: &[(RepoFolder, Commit)]) -> u64 {
    let contents = store.cache().contents();
    let revisions = contents.repos.iter().flat_map(|repo| {
        repo.revisions
            .iter()
            .filter(|revision| wanted.contains(&(repo.name.clone(), revision.commit.clone())))
    });
    revisions.map(CachedRevision::bytes).sum()
}

fn bar(args: &VerifyArgs, total: u64) -> ProgressBar {
    if args.quiet || args.json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{msg:>28} {bar:30} {decimal_bytes}/{decimal_total_bytes}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let target = ProgressDrawTarget::stderr();
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}

fn verify(
    store: &ModelStore,
    repair: bool,
    folder: &RepoFolder,
    commit: &Commit,
    bar: &ProgressBar,
) -> Result<Checked, StoreError> {
    let verification = store
        .cache()
        .verify(folder, commit, |bytes| bar.inc(bytes))?;
    let good = verification.is_good();
    let repaired_bytes = if repair && !good {
        let report = verification.repair().clone().execute();
        if let Some((_, error)) = report.skipped.into_iter().next() {
            return Err(error.into());
        }
        report.bytes
    } else {
        0
    };
    Ok(Checked {
        model: folder.id(),
        commit: commit.to_string(),
        good,
        files: verification.files.iter().map(file).collect(),
        repaired_bytes,
    })
}

fn file(file: &VerifiedFile) -> File {
    File {
        path: file.path.display().to_string(),
        bytes: file.size,
        state: match &file.finding {
            Finding::Good { digest } => State::Good {
                digest: digest.hex(),
            },
            Finding::Damaged { expected, got } => State::Damaged {
                expected: expected.hex(),
                got: got.hex(),
            },
            Finding::Unreadable { error } => State::Unreadable {
                reason: error.to_string(),
            },
            _ => State::Unverifiable,
        },
    }
}

fn print(args: &VerifyArgs, report: &Report) -> Result<(), Failure> {
    let mut output = Output::new();
    if args.json {
        return output.json(report);
    }
    for model in &report.models {
        for file in &model.files {
            let what = match &file.state {
                State::Good { .. } => continue,
                State::Damaged { expected, got } => format!("damaged: {got} instead of {expected}"),
                State::Unverifiable => "nothing says what it should be".to_owned(),
                State::Unreadable { reason } => format!("unreadable: {reason}"),
            };
            output.text(&format!("{}: {}: {what}\n", model.model, file.path))?;
        }
        let state = if model.good { "good" } else { "damaged" };
        output.text(&format!(
            "{}: {} files, {state}\n",
            model.model,
            model.files.len()
        ))?;
    }
    if report.models.is_empty() {
        note::say("there are no models to check");
    }
    Ok(())
}
