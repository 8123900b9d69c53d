//! What the person at the terminal sees while something takes time.
//!
//! On a terminal each step has a bar; elsewhere (a log) each step is one line.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this module is how the program speaks"
)]

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Error;

/// Writes a line for the user, to standard error.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Ends a check: lists what it found, or says that all is well.
pub(crate) fn report(all_is_well: &str, complaints: &[String]) -> Result<(), Error> {
    if complaints.is_empty() {
        say(all_is_well);
        return Ok(());
    }
    for complaint in complaints {
        say(complaint);
    }
    Err(Error::Complaints {
        count: complaints.len(),
    })
}

/// Writes what a command was asked for, to standard output.
pub(crate) fn answer(line: &str) {
    println!("{line}");
}

/// Starts a step measured in bytes of a known total.
pub(crate) fn bytes(what: &str, total: u64) -> Step {
    Step::start(
        what,
        Some(total),
        "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes}",
    )
}

/// Starts a step measured in things done.
pub(crate) fn count(what: &str, total: u64) -> Step {
    Step::start(what, Some(total), "{spinner} {msg} [{bar:30}] {pos}/{len}")
}

/// Starts a step of unknown length.
pub(crate) fn spinner(what: &str) -> Step {
    Step::start(what, None, "{spinner} {msg} {elapsed}")
}

/// One step under way; its bar goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Step {
    bar: ProgressBar,
}

impl Step {
    fn start(what: &str, total: Option<u64>, template: &str) -> Self {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if bar.is_hidden() {
            say(what);
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// Sets how much is done.
    pub(crate) fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Adds one thing done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
