//! The backend on MLX, from outside: parity, contract, files, errors, memory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a helper that fails is a test that fails, and one that is skipped says so"
)]

#[cfg(any(target_vendor = "apple", mlx_runtime))]
mod with_mlx;
#[cfg(not(any(target_vendor = "apple", mlx_runtime)))]
mod without_mlx;
