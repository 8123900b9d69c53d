//! Work divided among threads.

mod chunks;
mod pool;

pub(crate) use pool::{Pool, physical_cores};
