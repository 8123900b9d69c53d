//! The backend on MLX, from outside: parity, contract, files, errors, memory.

#[cfg(any(target_vendor = "apple", mlx_runtime))]
mod with_mlx;
#[cfg(not(any(target_vendor = "apple", mlx_runtime)))]
mod without_mlx;
