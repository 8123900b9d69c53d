//! Behaviour of `engine-runtime` through its public interface.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod detokenizer;
mod generation;
mod logprobs;
mod mirostat;
mod random_model;
mod sampler_order;
mod sampling;
mod sampling_reference;
mod stop;
mod structured;
mod text;
mod tokenizers;
