//! Behaviour of `engine-runtime` through its public interface.

mod detokenizer;
mod output;
mod sampling;
mod stop;
mod text;
mod tokenizers;
