//! Work divided among threads.

mod ahead;
mod chunks;
mod pool;

pub(crate) use ahead::Ahead;
pub(crate) use chunks::share_of;
pub(crate) use pool::{Pool, physical_cores};
