#![doc = include_str!("../README.md")]

mod backend;
mod batch;
mod cache;
mod decoder;
mod file_errors;
mod kernels;
mod loader;
mod manifest;
mod matrix;
mod memory;
mod model;
mod open;
mod parallel;
mod reading;
mod sequences;

pub use backend::CpuBackend;
pub use model::CpuModel;
