//! The cache on disk.

mod care;
mod clean_up;
mod in_use;
mod layout;
mod link;
mod listing;
mod lock;
mod owner;
mod scan;
mod space;
mod verify;

pub(crate) use care::mark_used;
pub(crate) use layout::{JOURNAL_SUFFIX, PARTIAL_SUFFIX, RepoLayout, random_id, sync_folder};
pub(crate) use link::{Links, link};
pub(crate) use lock::BlobLock;
pub(crate) use owner::Owner;
pub(crate) use space::available;

pub use care::Cache;
pub use clean_up::{CleanUp, CleanUpReport, Removal, RemovalKind};
pub use in_use::InUse;
pub use scan::{CacheContents, CacheWarning, CachedFile, CachedRepo, CachedRevision};
pub use verify::{Finding, Verification, VerifiedFile};

/// Whether a process that may still run is writing an unfinished file.
fn partial_owner_may_live(path: &std::path::Path) -> bool {
    crate::transfer::owner_of_partial(path).is_some_and(|owner| {
        owner.shares_realm() && !owner.is_certainly_gone() && !owner.is_this_process()
    })
}
