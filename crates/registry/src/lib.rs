#![doc = include_str!("../README.md")]

mod config_facts;
mod entry;
mod error;
mod file;
mod machine;
mod query;
mod recommended;
mod registry;
mod runs;
mod unlisted;

pub use config_facts::ConfigFacts;
pub use entry::{Capability, ModelEntry, Origin, Place};
pub use error::RegistryError;
pub use machine::Machine;
pub use query::Query;
pub use recommended::Recommended;
pub use registry::Registry;
pub use runs::Runs;
pub use unlisted::CardFacts;
