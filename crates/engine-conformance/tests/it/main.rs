//! Whom the suites pass, and whom they fail.

mod broken_backends;
mod broken_chats;
mod broken_concurrency;
mod broken_engines;
mod broken_fields;
mod broken_models;
mod broken_prompt_caches;
mod broken_streams;
mod broken_structure;
mod flawed_engine;
mod flawed_model;
mod hung_and_panicking;
mod mock;
mod report;
