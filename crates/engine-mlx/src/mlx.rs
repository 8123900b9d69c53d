//! What runs on MLX. The only part of the workspace that names types of `mlx_rs`.

mod affine;
mod attention;
mod batch;
mod batch_cache;
mod block;
mod cache_limit;
mod chosen;
mod compute;
mod decoder;
mod device;
mod embedding;
mod exception;
mod experts;
mod ffi;
mod file_errors;
mod kv_cache;
mod linear;
mod loader;
mod manifest;
mod mask;
mod memory;
mod mlp;
mod model;
mod norm;
mod open;
mod projections;
mod room;
mod rope;
mod sequences;
mod slices;
mod stream_pool;
mod swiglu;
mod upload;

pub(crate) use device::{availability, computes_on_gpu, version};
pub use model::MlxModel;
pub(crate) use open::load_with_text;
