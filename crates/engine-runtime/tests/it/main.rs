//! Behaviour of `engine-runtime` through its public interface.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod detokenizer;
mod hash_model;
mod output;
mod prompt_cache;
mod sampling;
mod stop;
mod text;
mod tokenizers;
