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
mod pages;
mod parallel;
mod reading;
mod sequences;
mod state;

pub use backend::CpuBackend;
pub use model::CpuModel;
