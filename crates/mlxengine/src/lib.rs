#![doc = include_str!("../README.md")]

mod engine;
mod load;
mod load_progress;
mod policy;

pub use engine::InferenceEngine;
pub use engine_core::{
    Availability, Backend, BackendInfo, BoxFuture, Capabilities, Completion, ComputeType,
    DeviceChoice, Engine, EngineExt, EngineInfo, Error, Field, FieldSet, FinishReason,
    GenerateParams, GenerateRequest, GenerationEvent, GenerationStream, GenerationSummary,
    KvCacheShape, KvType, Leniency, LoadOptions, LoadProgress, LoadStage, MemoryEstimate,
    MemoryReport, Message, ModelConfiguration, ModelInfo, Prompt, Quantization, Result, Role,
    Suitability, TextStream, Timings, TokenId, Usage,
};
#[cfg(feature = "cpu")]
pub use engine_cpu::CpuBackend;
#[cfg(feature = "mlx")]
pub use engine_mlx::MlxBackend;
#[cfg(feature = "mock")]
pub use engine_mock as mock;
pub use load::Load;
pub use load_progress::LoadProgressStream;
pub use policy::{BackendPolicy, backends};
