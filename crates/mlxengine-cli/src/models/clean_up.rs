//! `mlxengine models rm` and `mlxengine models prune`: deleting.

use std::{collections::BTreeMap, time::Duration};

use indicatif::DecimalBytes;
use mlxengine::{
    StoreError,
    downloader::{CleanUp, Error, RemovalKind, RepoFolder},
    hub::Revision,
};
use serde::Serialize;

use super::in_cache;
use crate::{
    args::{PruneArgs, RmArgs},
    failure::Failure,
    note,
    output::Output,
    store,
};

/// Unfinished downloads that nobody has touched for so long are given up.
const UNFINISHED: Duration = Duration::from_hours(24);

#[derive(Serialize)]
struct Report {
    dry_run: bool,
    bytes: u64,
    removals: Vec<Removed>,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Removed {
    model: String,
    what: &'static str,
    path: String,
    bytes: u64,
}

#[derive(Serialize)]
struct Skipped {
    model: String,
    reason: String,
}

pub(crate) fn rm(args: &RmArgs) -> Result<(), Failure> {
    let store = store::from_environment()?;
    let model = store.find(&args.model).map_err(Failure::Store)?;
    let (repo, revision) = model.on_hub().map_err(Failure::Store)?;
    let whole = *revision == Revision::main() && !args.model.contains('@');
    let plan = if whole {
        RepoFolder::of_model(repo.as_str())
            .map_err(StoreError::from)
            .and_then(|folder| Ok(store.cache().plan_delete(&folder)?))
    } else {
        in_cache(&store, &model).and_then(|(folder, commit)| {
            Ok(store.cache().plan_delete_revision(&folder, &commit)?)
        })
    };
    let plan = plan.map_err(|error| match error {
        StoreError::Download(Error::NotCached { .. }) => StoreError::NotHere {
            model: model.to_string(),
            missing: Vec::new(),
        },
        other => other,
    });
    let plan = plan.map_err(Failure::Store)?;
    execute(plan, args.dry_run, args.json, true)
}

pub(crate) fn prune(args: &PruneArgs) -> Result<(), Failure> {
    let store = store::from_environment()?;
    let plan = match args.max_size {
        Some(size) => store.cache().plan_limit(size.as_u64(), UNFINISHED, &[]),
        None => store.cache().plan_prune(UNFINISHED),
    };
    execute(plan, args.dry_run, args.json, false)
}

/// `must_all` makes it an error that something is left alone since it is in use.
fn execute(plan: CleanUp, dry_run: bool, json: bool, must_all: bool) -> Result<(), Failure> {
    let removals: Vec<Removed> = plan
        .removals()
        .iter()
        .map(|removal| Removed {
            model: removal.repo.id(),
            what: match removal.kind {
                RemovalKind::Reference => "reference",
                RemovalKind::SnapshotFile => "file",
                RemovalKind::Revision => "revision",
                RemovalKind::Note => "note",
                RemovalKind::Blob => "content",
                RemovalKind::Unfinished => "unfinished download",
                RemovalKind::Repo => "folder",
                _ => "other",
            },
            path: removal.path.display().to_string(),
            bytes: removal.bytes,
        })
        .collect();
    let planned_bytes = plan.bytes();
    let mut report = Report {
        dry_run,
        bytes: planned_bytes,
        removals,
        skipped: Vec::new(),
    };
    let mut in_use = None;
    if !dry_run {
        let done = plan.execute();
        report.bytes = done.bytes;
        for (repo, error) in done.skipped {
            report.skipped.push(Skipped {
                model: repo.id(),
                reason: error.to_string(),
            });
            in_use = Some(error);
        }
        let skipped = |model: &str| report.skipped.iter().any(|skip| skip.model == model);
        let left: Vec<bool> = report.removals.iter().map(|r| skipped(&r.model)).collect();
        let mut left = left.into_iter();
        report.removals.retain(|_| !left.next().unwrap_or(false));
    }
    if must_all && let Some(error) = in_use {
        return Err(Failure::Store(error.into()));
    }
    print(&report, json)
}

fn print(report: &Report, json: bool) -> Result<(), Failure> {
    let mut output = Output::new();
    if json {
        return output.json(report);
    }
    let mut by_model: BTreeMap<&str, u64> = BTreeMap::new();
    for removal in &report.removals {
        *by_model.entry(removal.model.as_str()).or_default() += removal.bytes;
    }
    let verb = if report.dry_run {
        "would free"
    } else {
        "freed"
    };
    for (model, bytes) in by_model {
        output.text(&format!("{model}: {verb} {}\n", DecimalBytes(bytes)))?;
    }
    for skipped in &report.skipped {
        note::say(&format!(
            "{} was left alone: {}",
            skipped.model, skipped.reason
        ));
    }
    if report.removals.is_empty() && report.skipped.is_empty() {
        note::say("there is nothing to delete");
    }
    Ok(())
}
