//! Behaviour of model-files through its public interface.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod affine;
mod convert;
mod fixtures;
mod folder;
mod gguf_format;
mod gguf_rope;
mod gguf_view;
mod hostile;
mod pooling;
mod reference_blocks;
mod tokenizer;
mod weights;
