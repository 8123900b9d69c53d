//! The program as its user sees it: arguments, stdin, stdout, stderr and the exit code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod backends;
mod chat;
mod command;
mod completions;
mod exit_codes;
mod form;
mod generate;
mod hub;
#[cfg(unix)]
mod hub_terminal;
mod json;
mod login;
mod models;
mod names;
mod parity;
mod pull;
mod real_model;
#[cfg(unix)]
mod reasoning;
mod signals;
#[cfg(unix)]
mod terminal;
