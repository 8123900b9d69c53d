//! Which model, and where it runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mlxengine::{ComputeType, DeviceChoice, KvType, LoadOptions};

#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// A name as in qwen3-0.6b, organisation/name of the Hub (:QUANTIZATION for one of several GGUF
    /// files), a folder with config.json and *.safetensors, or a GGUF file; what is not here is
    /// fetched. The mock needs none
    #[arg(
        long,
        short,
        value_name = "MODEL",
        env = "MLXENGINE_MODEL",
        hide_env_values = true
    )]
    pub(crate) model: Option<PathBuf>,

    /// What runs the model; auto never takes the mock
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    pub(crate) backend: BackendName,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    device: Device,

    /// The number type of activations
    #[arg(long, value_enum, default_value_t = Compute::Auto)]
    compute: Compute,

    /// A smaller context than the model's own, in tokens
    #[arg(long, value_name = "N")]
    context: Option<u32>,

    /// Threads that compute, where the processor does [default: physical cores]
    #[arg(long, value_name = "N")]
    threads: Option<u32>,

    /// The number type of the KV cache
    #[arg(long, value_enum, default_value_t = Kv::Auto)]
    kv_type: Kv,

    /// The mock's answer; with --backend mock only
    #[arg(long, value_name = "TEXT")]
    pub(crate) mock_reply: Option<String>,

    /// The mock's pause before each token, in milliseconds; with --backend mock only
    #[arg(long, value_name = "N")]
    pub(crate) mock_token_delay_ms: Option<u64>,
}

impl ModelArgs {
    /// Whether anything is set that only the mock understands.
    pub(crate) fn asks_the_mock(&self) -> bool {
        self.mock_reply.is_some() || self.mock_token_delay_ms.is_some()
    }

    pub(crate) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            device: self.device.into(),
            compute: self.compute.into(),
            context_length: self.context,
            threads: self.threads,
            kv_type: self.kv_type.into(),
            ..LoadOptions::default()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    Auto,
    Mlx,
    Cpu,
    Mock,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Device {
    Auto,
    Cpu,
    Metal,
    Cuda,
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Cpu => Self::Cpu,
            Device::Metal => Self::Metal,
            Device::Cuda => Self::Cuda,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compute {
    /// The files' own type on a GPU, f32 on the CPU
    Auto,
    /// The files' own type
    Stored,
    F32,
    F16,
    Bf16,
}

impl From<Compute> for ComputeType {
    fn from(compute: Compute) -> Self {
        match compute {
            Compute::Auto => Self::Auto,
            Compute::Stored => Self::Stored,
            Compute::F32 => Self::F32,
            Compute::F16 => Self::F16,
            Compute::Bf16 => Self::Bf16,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kv {
    Auto,
    F16,
    /// 8-bit integers: half the memory of f16
    Q8,
}

impl From<Kv> for KvType {
    fn from(kv: Kv) -> Self {
        match kv {
            Kv::Auto => Self::Auto,
            Kv::F16 => Self::F16,
            Kv::Q8 => Self::Q8,
        }
    }
}
