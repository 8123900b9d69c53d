#![doc = include_str!("../README.md")]

mod api;
mod body;
mod connection;
mod content;
mod fault;
mod message;
mod random;
mod repo;
mod resolve;
mod server;
mod stats;

pub use content::Content;
pub use fault::{Chaos, Fault, Stage};
pub use repo::{Entry, Repo};
pub use server::{FaultServer, Settings};
pub use stats::{FileStats, Stats};
