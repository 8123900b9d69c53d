//! The device that computes, and the stream that a model's operations go to.

use engine_core::{Availability, DeviceChoice, Error, Result};
use mlx_rs::{Array, DeviceType, Stream, error::Exception, with_stream};

use super::{
    exception::{Doing, MlxResult},
    ffi,
    stream_pool::CpuStreams,
};
use crate::backend::NAME;

/// What MLX calls the GPU on this system.
const GPU: DeviceChoice = if cfg!(target_vendor = "apple") {
    DeviceChoice::Metal
} else {
    DeviceChoice::Cuda
};

/// A device with the streams of one model. It belongs to the thread that opened it.
#[derive(Debug)]
pub(super) struct Device {
    kind: DeviceType,
    name: String,
    gpu: Option<Stream>,
    /// Streams of the processor, the first of them for all that is not divided. On a GPU there is
    /// one too: some operations run nowhere else, and would make a stream of their own.
    cpu: CpuStreams,
}

impl Device {
    /// Opens the device that was asked for; for `Auto` the GPU if it answers.
    pub(super) fn open(choice: DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Self::open_cpu(),
            DeviceChoice::Auto if !ffi::gpu_is_available() => Self::open_cpu(),
            DeviceChoice::Auto => Self::open_gpu().or_else(|error| {
                tracing::warn!(%error, "the GPU does not answer; MLX computes on the CPU");
                Self::open_cpu()
            }),
            choice if choice == GPU => Self::open_gpu(),
            choice => Err(unavailable(format!(
                "{} is not part of MLX on this system",
                name_of(choice)
            ))),
        }
    }

    fn open_cpu() -> Result<Self> {
        let device = Self {
            kind: DeviceType::Cpu,
            name: "CPU".to_owned(),
            gpu: None,
            cpu: CpuStreams::take(cores()).doing("open the CPU device")?,
        };
        device.ensure_it_answers()?;
        Ok(device)
    }

    fn open_gpu() -> Result<Self> {
        if !ffi::gpu_is_available() {
            return Err(unavailable(no_gpu()));
        }
        let stream = Stream::try_default_on_device(&mlx_rs::Device::gpu()).doing("open the GPU")?;
        let device = Self {
            kind: DeviceType::Gpu,
            name: gpu_in_words(),
            gpu: Some(stream),
            cpu: CpuStreams::take(1).doing("open the CPU device")?,
        };
        device.ensure_it_answers()?;
        Ok(device)
    }

    /// A driver may be there whose device does not work.
    fn ensure_it_answers(&self) -> Result<()> {
        let sum = self
            .run(|| Array::from_f32(1.0).add(Array::from_f32(2.0)))
            .and_then(|sum| sum.eval().map(|()| sum))
            .doing("compute on the device")?;
        let sum: f32 = sum.try_item_exact().doing("read from the device")?;
        if sum == 3.0 {
            Ok(())
        } else {
            Err(unavailable(format!("{} adds 1 and 2 to {sum}", self.name)))
        }
    }

    /// The device in words: "CPU", "Apple M3 (Metal)".
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether an NVIDIA GPU computes.
    pub(super) fn is_cuda(&self) -> bool {
        !self.is_cpu() && GPU == DeviceChoice::Cuda
    }

    /// Whether it is the processor.
    pub(super) fn is_cpu(&self) -> bool {
        matches!(self.kind, DeviceType::Cpu)
    }

    /// The stream that operations go to.
    pub(super) fn stream(&self) -> &Stream {
        self.gpu.as_ref().unwrap_or(self.cpu.main())
    }

    /// The streams of the processor, among which work may be divided.
    pub(super) fn cpu_streams(&self) -> &[Stream] {
        self.cpu.all()
    }

    /// Operations built in `work` go to this device.
    pub(super) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        with_stream(self.stream(), work)
    }

    /// Waits until the device has nothing more to do.
    pub(super) fn synchronize(&self) -> MlxResult<()> {
        ffi::synchronize(self.stream())
    }
}

/// How many streams a model divides its work among on the processor.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_STREAMS))
}

/// Beyond this many, waiting for one another takes longer than the work that is saved.
const MOST_STREAMS: usize = 8;

/// The version of MLX that is linked.
pub(crate) fn version() -> String {
    ffi::version().unwrap_or_else(|| "unknown".to_owned())
}

/// Whether the device that is taken by default is a GPU.
pub(crate) fn computes_on_gpu() -> bool {
    ffi::gpu_is_available()
}

/// Whether MLX works here, and on which device.
pub(crate) fn availability() -> Availability {
    if let Err(error) = ffi::install_error_handler() {
        let error: Exception = error;
        return Availability::Unavailable {
            reason: format!("MLX does not start: {}", error.what()),
        };
    }
    Availability::Ready {
        device: if ffi::gpu_is_available() {
            gpu_in_words()
        } else {
            "CPU".to_owned()
        },
    }
}

fn gpu_in_words() -> String {
    let name = ffi::device_name(DeviceType::Gpu).unwrap_or_else(|| "GPU".to_owned());
    format!("{name} ({})", name_of(GPU))
}

fn no_gpu() -> String {
    if cfg!(target_vendor = "apple") {
        "Metal finds no GPU".to_owned()
    } else {
        "MLX finds no NVIDIA GPU: its CUDA build (`cargo xtask setup --cuda 12` or `13`) and a \
         driver are needed"
            .to_owned()
    }
}

fn name_of(choice: DeviceChoice) -> &'static str {
    match choice {
        DeviceChoice::Metal => "Metal",
        DeviceChoice::Cuda => "CUDA",
        DeviceChoice::Cpu => "CPU",
        _ => "this device",
    }
}

fn unavailable(reason: String) -> Error {
    Error::Unavailable {
        backend: NAME.to_owned(),
        reason,
    }
}
