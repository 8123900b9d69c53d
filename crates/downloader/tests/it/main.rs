//! What the downloader does against a real server, on a real disk, with real processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hub;
mod layout;
mod resume;
mod support;
