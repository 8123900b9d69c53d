//! What MLX's allocator says of itself. All figures are of the whole process.

use super::exception::MlxResult;

/// Bytes handed out, bytes kept for reuse, and the most that was ever handed out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allocator {
    pub(super) active: u64,
    pub(super) pooled: u64,
    pub(super) peak: u64,
}

impl Allocator {
    pub(super) fn now() -> MlxResult<Self> {
        Ok(Self {
            active: mlx_rs::memory::active_memory()? as u64,
            pooled: mlx_rs::memory::cache_memory()? as u64,
            peak: mlx_rs::memory::peak_memory()? as u64,
        })
    }
}

/// Gives back what is kept for reuse.
pub(super) fn release_pool() -> MlxResult<()> {
    mlx_rs::memory::clear_cache()
}

/// Gives back what is kept for reuse when it is dropped.
#[derive(Debug)]
pub(super) struct PoolRelease;

impl Drop for PoolRelease {
    fn drop(&mut self) {
        // Memory that is not given back now is given back by the next model.
        let _ = release_pool();
    }
}
