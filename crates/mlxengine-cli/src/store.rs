//! The store, with bars for what is fetched.

use std::io::{self, IsTerminal as _};

use futures_util::StreamExt as _;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlxengine::{
    ModelStore, Pull, PullProgressStream, Pulled, StoreError, StoredModel,
    downloader::{FileState, Progress},
};

use crate::{failure::Failure, interrupt::Interrupt, note};

/// The store as the environment says.
pub(crate) fn from_environment() -> Result<ModelStore, Failure> {
    ModelStore::from_environment().map_err(Failure::Store)
}

/// A model's files, fetched if they are not here.
pub(crate) async fn open(
    name: &str,
    quiet: bool,
    interrupt: &mut Interrupt,
) -> Result<StoredModel, Failure> {
    let store = ModelStore::from_environment().map_err(Failure::Open)?;
    let model = store.find(name).map_err(Failure::Open)?;
    let cached = store.open_cached(&model);
    let cached = interrupt.or(cached).await.ok_or(Failure::Interrupted)?;
    if let Some(stored) = cached.map_err(Failure::Open)? {
        return Ok(stored);
    }
    if !quiet {
        note::say(&format!("{model} is not here yet; fetching it"));
    }
    match fetch(store.pull(model), quiet, interrupt).await? {
        Ok(pulled) => Ok(pulled.model),
        Err(error) => Err(Failure::Open(error)),
    }
}

/// Fetches, and unless `quiet` shows bars at a terminal. Ctrl-C cancels.
pub(crate) async fn fetch(
    pull: Pull,
    quiet: bool,
    interrupt: &mut Interrupt,
) -> Result<Result<Pulled, StoreError>, Failure> {
    let outcome = if quiet || !io::stderr().is_terminal() {
        interrupt.or(pull.into_future()).await
    } else {
        let (pull, steps) = pull.progress_stream();
        let bars = Bars::new();
        let shown = show(&bars, steps);
        let both = futures_util::future::join(pull.into_future(), shown);
        let outcome = interrupt.or(both).await.map(|(outcome, ())| outcome);
        bars.clear();
        outcome
    };
    outcome.ok_or(Failure::Interrupted)
}

async fn show(bars: &Bars, mut steps: PullProgressStream) {
    let mut files = Vec::new();
    while let Some(step) = steps.next().await {
        bars.show(&step, &mut files);
    }
}

/// One bar for all, and one for each file that is being fetched.
struct Bars {
    group: MultiProgress,
    all: ProgressBar,
}

impl Bars {
    fn new() -> Self {
        let group = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let all = group.add(ProgressBar::new(0));
        all.set_style(style(
            "{msg:>28} {bar:30} {decimal_bytes}/{decimal_total_bytes}",
        ));
        Self { group, all }
    }

    fn show(&self, step: &Progress, files: &mut Vec<Option<ProgressBar>>) {
        files.resize(step.files.len(), None);
        for (file, bar) in step.files.iter().zip(files) {
            let moves = matches!(
                file.state,
                FileState::Transferring | FileState::Verifying | FileState::WaitingForOther
            );
            if !moves {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                    self.group.remove(&bar);
                }
                continue;
            }
            let bar = bar.get_or_insert_with(|| {
                let bar = self.group.add(ProgressBar::new(0));
                bar.set_style(style("{prefix:>28} {bar:30} {msg}"));
                bar.set_prefix(shortened(file.path.as_str()));
                bar
            });
            bar.set_length(file.size.unwrap_or(file.bytes));
            bar.set_position(file.bytes);
            bar.set_message(match file.state {
                FileState::Verifying => "checking",
                FileState::WaitingForOther => "another process fetches it",
                _ => "",
            });
        }
        self.all.set_length(step.total.unwrap_or(step.bytes));
        self.all.set_position(step.bytes);
        self.all.set_message(rate(step));
    }

    fn clear(&self) {
        // Drawing is for the eye; where it fails there is none.
        let _ = self.group.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn rate(step: &Progress) -> String {
    let speed = indicatif::DecimalBytes(step.bytes_per_second as u64);
    match step.time_left {
        Some(left) => format!("{speed}/s, {} left", indicatif::HumanDuration(left)),
        None => format!("{speed}/s"),
    }
}

/// The end of a long path, which tells most.
fn shortened(path: &str) -> String {
    const MOST: usize = 28;
    let length = path.chars().count();
    if length <= MOST {
        return path.to_owned();
    }
    let end: String = path.chars().skip(length - MOST + 1).collect();
    format!("…{end}")
}
