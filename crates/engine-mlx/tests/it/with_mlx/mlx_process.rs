//! What tests of one process must share: its allocator.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static ALLOCATOR: RwLock<()> = RwLock::new(());

/// For tests that use MLX and don't care who else does.
pub(super) fn beside_others() -> RwLockReadGuard<'static, ()> {
    ALLOCATOR.read().unwrap_or_else(PoisonError::into_inner)
}

/// For tests that count the bytes of the whole process.
pub(super) fn alone() -> RwLockWriteGuard<'static, ()> {
    ALLOCATOR.write().unwrap_or_else(PoisonError::into_inner)
}
