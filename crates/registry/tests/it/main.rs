//! Behaviour of the registry through its public interface.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod config_facts;
mod curated;
mod lookup;
mod overlay;
mod query;
mod recommended;
mod unlisted;
