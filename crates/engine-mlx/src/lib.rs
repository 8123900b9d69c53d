#![doc = include_str!("../README.md")]

mod backend;
#[cfg(any(target_vendor = "apple", mlx_runtime))]
mod mlx;

pub use backend::MlxBackend;
#[cfg(any(target_vendor = "apple", mlx_runtime))]
pub use mlx::MlxModel;
