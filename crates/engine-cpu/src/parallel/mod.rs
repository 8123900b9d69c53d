//! Work divided among threads.

mod ahead;
mod chunks;
mod pool;

pub(crate) use ahead::{Ahead, prefetch};
pub(crate) use chunks::{Columns, share_of};
pub(crate) use pool::{Pool, physical_cores};
