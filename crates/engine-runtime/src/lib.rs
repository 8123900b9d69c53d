#![doc = include_str!("../README.md")]

mod engine;
mod panic_message;
mod prompt_cache;
mod sampling;
mod text;

pub use engine::{EngineSettings, Loaded, spawn_engine};
pub use sampling::Sampler;
pub use text::{Detokenizer, StopMatch, StopMatcher, TextPipeline, TextSources};
