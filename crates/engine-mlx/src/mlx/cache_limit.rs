//! How much memory MLX may keep for reuse: one figure for the process, wishes of several models.

use std::sync::{Mutex, PoisonError};

use super::exception::MlxResult;

#[derive(Debug)]
struct Wishes {
    /// MLX's own limit, while any wish stands.
    default: Option<usize>,
    limits: Vec<usize>,
}

static WISHES: Mutex<Wishes> = Mutex::new(Wishes {
    default: None,
    limits: Vec::new(),
});

/// A model's wish, for as long as the value lives. The smallest wish counts.
#[derive(Debug)]
pub(super) struct CacheLimit(usize);

impl CacheLimit {
    pub(super) fn new(bytes: u64) -> MlxResult<Self> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut wishes = WISHES.lock().unwrap_or_else(PoisonError::into_inner);
        wishes.limits.push(bytes);
        let wish = Self(bytes);
        if let Err(error) = wishes.apply() {
            drop(wishes);
            drop(wish);
            return Err(error);
        }
        Ok(wish)
    }

    /// Whether more is kept at the moment.
    pub(super) fn is_exceeded(&self) -> MlxResult<bool> {
        Ok(mlx_rs::memory::cache_memory()? > self.0)
    }
}

impl Drop for CacheLimit {
    fn drop(&mut self) {
        let mut wishes = WISHES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = wishes.limits.iter().position(|limit| *limit == self.0) {
            wishes.limits.swap_remove(index);
        }
        // Setting a limit that was accepted before does not fail.
        let _ = wishes.apply();
    }
}

impl Wishes {
    fn apply(&mut self) -> MlxResult<()> {
        match self.limits.iter().min() {
            Some(limit) => {
                let previous = mlx_rs::memory::set_cache_limit(*limit)?;
                self.default.get_or_insert(previous);
            }
            None => {
                if let Some(default) = self.default.take() {
                    mlx_rs::memory::set_cache_limit(default)?;
                }
            }
        }
        Ok(())
    }
}
