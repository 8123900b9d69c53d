#![doc = include_str!("../README.md")]

mod case;
mod engine;
mod model;
mod random;
mod report;
mod runner;

pub use engine::EngineSuite;
pub use model::{ModelSuite, Tolerance};
pub use report::{CaseReport, Outcome, Report};
