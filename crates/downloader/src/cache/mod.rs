//! The cache on disk.

mod layout;
mod link;
mod lock;
mod owner;
mod space;

pub(crate) use layout::{JOURNAL_SUFFIX, PARTIAL_SUFFIX, RepoLayout, random_id, sync_folder};
pub(crate) use link::link;
pub(crate) use lock::BlobLock;
pub(crate) use owner::Owner;
pub(crate) use space::available;
