//! Tests that need MLX.

mod bad_input;
mod conformance;
mod embeddings;
mod forms;
mod goldens;
mod kv_caches;
mod memory;
mod mlx_process;
mod options;
mod padded_buffer;
mod real_model;
mod tiny;
