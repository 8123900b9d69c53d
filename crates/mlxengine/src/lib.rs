#![doc = include_str!("../README.md")]

mod chat;
mod engine;
mod load;
mod load_progress;
mod policy;
#[cfg(feature = "hub")]
mod store;
mod tool_loop;
mod tools;

pub use chat::{
    ChatAnswer, ChatError, ChatEvent, ChatFormat, ChatOptions, ChatResult, ChatSession, ChatStream,
    Overflow, WhenBusy, WhenCancelled,
};
#[cfg(feature = "hub")]
pub use downloader;
pub use engine::InferenceEngine;
pub use engine_core::{
    Availability, Backend, BackendInfo, BoxFuture, Capabilities, Completion, ComputeType,
    Constraint, DeviceChoice, Dry, Embeddings, Engine, EngineExt, EngineInfo, Error, Field,
    FieldSet, FinishReason, GenerateParams, GenerateRequest, GenerationEvent, GenerationStream,
    GenerationSummary, InvalidToolCall, KvCacheShape, KvType, Leniency, LoadOptions, LoadProgress,
    LoadStage, LoopGuard, MemoryEstimate, MemoryReport, Message, Mirostat, ModelConfiguration,
    ModelInfo, PartialCompletion, Prompt, PromptCacheReport, Quantization, ReasoningOptions,
    Result, Role, SamplerStage, SlidingLayers, Suitability, TextStream, Timings, TokenId,
    TokenLogprob, TokenLogprobs, ToolCall, ToolCallPreview, ToolCallProblem, ToolChoice,
    ToolDefinition, ToolFormat, ToolOptions, ToolPrompt, Usage, Xtc,
};
#[cfg(feature = "cpu")]
pub use engine_cpu::CpuBackend;
#[cfg(feature = "mlx")]
pub use engine_mlx::MlxBackend;
#[cfg(feature = "mock")]
pub use engine_mock as mock;
#[cfg(feature = "hub")]
pub use hub_client as hub;
pub use load::{Load, LoadSource};
pub use load_progress::LoadProgressStream;
pub use policy::{BackendPolicy, backends};
#[cfg(feature = "hub")]
pub use registry;
#[cfg(feature = "hub")]
pub use store::{
    ModelDescription, ModelStore, ModelStoreBuilder, NamedModel, Pull, PullProgressStream, Pulled,
    StoreError, StoredModel,
};
pub use tool_loop::{ToolLoop, ToolRun, ToolRunFinish};
pub use tools::{Tool, ToolBox, ToolResult};
