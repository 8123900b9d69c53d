//! The facade, on the mock and on backends made for one test.

#![cfg(feature = "mock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod chat;
mod custom_backend;
#[cfg(feature = "cpu")]
mod embeddings;
mod engine;
mod handles;
#[cfg(feature = "cpu")]
mod json_schemas;
mod load;
mod mock;
#[cfg(feature = "hub")]
mod store;
mod tools;
