//! Behaviour of `engine-runtime` through its public interface.

mod detokenizer;
mod logprobs;
mod mirostat;
mod sampler_order;
mod sampling;
mod sampling_reference;
mod stop;
mod text;
mod tokenizers;
