#![doc = include_str!("../README.md")]

mod constraint;
mod engine;
mod output;
mod panic_message;

mod prompt_cache;
mod sampling;
mod text;
mod tools;

pub use engine::{EngineSettings, Loaded, spawn_engine};
pub use output::{
    OutputGrammar, OutputParser, Part, Phase, ThinkingStart, ThinkingTags, WrittenCall,
};
pub use sampling::{Sampler, TokenClasses};
pub use text::{Detokenizer, StopMatch, StopMatcher, TextPipeline, TextSources};
