//! Behaviour of hub-client through its public interface, against real HTTP on the loopback.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod account;
mod card;
mod environment;
mod errors;
mod fault_server;
#[cfg(feature = "keyring")]
mod keychain;
mod log;
mod model_info;
mod names;
mod network;
mod offline;
mod resolve;
mod retries;
mod search;
mod secrets;
mod server;
mod token_store;
mod tree;
mod warnings;
