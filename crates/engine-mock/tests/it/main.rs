//! What the mock answers, how it loads, and how it fails when asked to.

mod batches;
mod cancellation;
mod chats;
mod faults;
mod loading;
mod scripts;
mod seeds;
mod settings;
mod support;
mod tokens;
