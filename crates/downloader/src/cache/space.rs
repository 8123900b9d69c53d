//! How much room the disk has.

use std::path::Path;

/// Bytes that this user may still write where `folder` lies; `None` where it can't be told.
#[cfg(unix)]
pub(crate) fn available(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(not(unix))]
pub(crate) fn available(_folder: &Path) -> Option<u64> {
    None
}
