//! `cargo xtask` as a program: what it says when something is missing, and that it leaves nothing half done.

mod setup;
