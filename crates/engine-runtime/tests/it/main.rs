//! Behaviour of `engine-runtime` through its public interface.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod detokenizer;
mod flat_sampling;
mod forced_calls;
mod generation;
mod hash_model;
mod logprobs;
mod mirostat;
mod output;
mod prompt_cache;
mod random_model;
mod sampler_order;
mod sampling;
mod sampling_reference;
mod stop;
mod structured;
mod text;
mod tokenizers;
