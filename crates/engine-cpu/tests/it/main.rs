//! The backend on the processor, from outside: parity, contract, files, errors, memory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a helper that fails is a test that fails; a skipped test says so"
)]

mod conformance;
mod embeddings;
mod files;
mod goldens;
mod memory;
mod options;
mod real_model;
mod tiny;
mod windows;
