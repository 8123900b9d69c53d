#![doc = include_str!("../README.md")]

mod constraint;
mod engine;
mod panic_message;
mod sampling;
mod text;

pub use engine::{EngineSettings, Loaded, spawn_engine};
pub use sampling::{Sampler, TokenClasses};
pub use text::{Detokenizer, StopMatch, StopMatcher, TextPipeline, TextSources};
