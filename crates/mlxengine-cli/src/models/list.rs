//! `mlxengine models list`: what is on this machine.

use std::time::SystemTime;

use indicatif::{DecimalBytes, HumanDuration};
use jiff::Timestamp;
use mlxengine::downloader::{CacheContents, CachedRepo, CachedRevision};
use serde::Serialize;

use crate::{args::ListArgs, failure::Failure, note, output::Output, store, table::Table};

#[derive(Serialize)]
struct Listing {
    cache: String,
    bytes: u64,
    models: Vec<Listed>,
    warnings: Vec<Warning>,
}

#[derive(Serialize)]
struct Listed {
    model: String,
    bytes: u64,
    unfinished_bytes: u64,
    last_used: Option<Timestamp>,
    revisions: Vec<Revision>,
}

#[derive(Serialize)]
struct Revision {
    commit: String,
    refs: Vec<String>,
    path: String,
    bytes: u64,
    files: usize,
}

#[derive(Serialize)]
struct Warning {
    path: String,
    reason: String,
}

pub(crate) fn run(args: &ListArgs) -> Result<(), Failure> {
    let store = store::from_environment()?;
    let contents = store.cache().contents();
    let mut output = Output::new();
    if args.json {
        return output.json(&listing(store.cache().path(), &contents));
    }
    for warning in &contents.warnings {
        tracing::warn!("{}: {}", warning.path.display(), warning.reason);
    }
    let mut table = Table::new(["MODEL", "SIZE", "REVISIONS", "LAST USED"]);
    for repo in models(&contents) {
        let refs: Vec<String> = repo.revisions.iter().map(label).collect();
        let unfinished = if repo.unfinished_bytes() > 0 {
            format!(" ({} unfinished)", DecimalBytes(repo.unfinished_bytes()))
        } else {
            String::new()
        };
        table.row([
            repo.name.id(),
            format!("{}{unfinished}", DecimalBytes(repo.bytes())),
            refs.join(", "),
            repo.last_used.map_or("?".to_owned(), ago),
        ]);
    }
    if models(&contents).next().is_none() {
        note::say(&format!(
            "there are no models in {}",
            store.cache().path().display()
        ));
        return Ok(());
    }
    table.print(&mut output)
}

/// The cache may have data sets too, which other programs fetched.
fn models(contents: &CacheContents) -> impl Iterator<Item = &CachedRepo> {
    contents
        .repos
        .iter()
        .filter(|repo| repo.name.kind() == "models")
}

fn listing(cache: &std::path::Path, contents: &CacheContents) -> Listing {
    let models: Vec<Listed> = models(contents)
        .map(|repo| Listed {
            model: repo.name.id(),
            bytes: repo.bytes(),
            unfinished_bytes: repo.unfinished_bytes(),
            last_used: repo
                .last_used
                .and_then(|time| Timestamp::try_from(time).ok()),
            revisions: repo
                .revisions
                .iter()
                .map(|revision| Revision {
                    commit: revision.commit.to_string(),
                    refs: revision.refs.iter().map(ToString::to_string).collect(),
                    path: revision.path.display().to_string(),
                    bytes: revision.bytes(),
                    files: revision.files.len(),
                })
                .collect(),
        })
        .collect();
    Listing {
        cache: cache.display().to_string(),
        bytes: models.iter().map(|model| model.bytes).sum(),
        models,
        warnings: contents
            .warnings
            .iter()
            .map(|warning| Warning {
                path: warning.path.display().to_string(),
                reason: warning.reason.clone(),
            })
            .collect(),
    }
}

/// A revision by its branches, else by the beginning of its commit.
fn label(revision: &CachedRevision) -> String {
    if revision.refs.is_empty() {
        return revision.commit.as_str().chars().take(12).collect();
    }
    let names: Vec<&str> = revision.refs.iter().map(AsRef::as_ref).collect();
    names.join(", ")
}

fn ago(time: SystemTime) -> String {
    match SystemTime::now().duration_since(time) {
        Ok(passed) => format!("{} ago", HumanDuration(passed)),
        Err(_) => "just now".to_owned(),
    }
}
