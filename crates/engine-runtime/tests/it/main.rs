//! Behaviour of `engine-runtime` through its public interface.

mod detokenizer;
mod hash_model;
mod prompt_cache;
mod sampling;
mod stop;
mod text;
mod tokenizers;
