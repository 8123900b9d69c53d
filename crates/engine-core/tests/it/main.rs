//! The contract's own promises: ranges, names, auto traits, JSON forms.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod chat;
mod completion;
mod configuration;
mod errors;
mod events;
mod extension;
mod load;
mod logits;
mod params;
mod request;
mod samplers;
mod tools;
mod traits;
