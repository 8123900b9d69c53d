//! What the downloader does against a real server, on a real disk, with real processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod care;
mod chaos;
mod child;
mod control;
mod disk_full;
mod hostile;
mod hub;
mod kill;
mod layout;
mod listing;
mod memory;
mod python;
mod resume;
mod sharing;
mod slow;
mod support;
