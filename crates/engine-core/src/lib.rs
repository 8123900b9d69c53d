#![doc = include_str!("../README.md")]

mod backend;
mod capability;
mod chat;
mod completion;
mod configuration;
mod constraint;
mod embedding;
mod engine;
mod engine_ext;
mod error;
mod event;
mod load;
mod logits;
mod logprobs;
mod loop_guard;
mod memory;
mod model;
mod params;
mod progress;
mod reasoning;
mod request;
mod sampling;
mod sequence_state;
mod tool;

pub use backend::{Availability, Backend, BackendInfo, Suitability};
pub use capability::{Capabilities, Field, FieldSet};
pub use chat::{Message, Role};
pub use completion::{Completion, PartialCompletion, ToolCallPreview};
pub use configuration::{
    KvCacheShape, MemoryEstimate, ModelConfiguration, Quantization, SlidingLayers,
};
pub use constraint::Constraint;
pub use embedding::{EmbeddingSettings, Embeddings, Pooling};
pub use engine::{Engine, EngineInfo, GenerationStream};
pub use engine_ext::{EngineExt, TextStream};
pub use error::{Error, Result, Source};
pub use event::{FinishReason, GenerationEvent, GenerationSummary, Timings, Usage};
pub use load::{ComputeType, DeviceChoice, KvType, LoadOptions, LoadRequest};
pub use logits::Logits;
pub use logprobs::{TokenLogprob, TokenLogprobs};
pub use loop_guard::LoopGuard;
pub use memory::MemoryReport;
pub use model::{
    DeviceInput, DeviceRun, DeviceToken, LogitsWanted, Model, ModelInfo, Run, SequenceId,
};
pub use params::GenerateParams;
pub use progress::{LoadProgress, LoadStage, Progress};
pub use reasoning::ReasoningOptions;
pub use request::{GenerateRequest, Leniency, Prompt, ValidRequest};
pub use sampling::{Dry, Mirostat, SamplerStage, Xtc};
pub use sequence_state::{PromptCacheReport, SequenceState, StateTensor, StateType};
pub use tool::{
    InvalidToolCall, ToolCall, ToolCallProblem, ToolChoice, ToolDefinition, ToolFormat,
    ToolOptions, ToolPrompt,
};

/// The number of a token in a model's vocabulary.
pub type TokenId = u32;

/// An owned, sendable future, as object-safe traits return it.
pub type BoxFuture<T> = futures_core::future::BoxFuture<'static, T>;
