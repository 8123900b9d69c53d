//! The backend: what it is, that it can run, and loading.

use std::sync::Arc;

use engine_core::{
    Availability, Backend, BackendInfo, BoxFuture, ComputeType, DeviceChoice, Engine, Error, Field,
    FieldSet, LoadOptions, LoadRequest, Progress, Result,
};

use crate::{kernels, open::load_with_text};

/// The backend's name.
pub(crate) const NAME: &str = "cpu";

/// Runs models on the processor, with the best instructions that it has.
///
/// Each engine has a thread of its own, on which its model lives, and threads that help it.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuBackend;

impl CpuBackend {
    /// The backend. It holds nothing.
    pub const fn new() -> Self {
        Self
    }
}

/// The load options that are honoured.
const LOAD_OPTIONS: FieldSet = FieldSet::NONE
    .with(Field::Device)
    .with(Field::Compute)
    .with(Field::ContextLength)
    .with(Field::PrefillChunk)
    .with(Field::MaxConcurrent)
    .with(Field::Threads)
    .with(Field::KvType)
    .with(Field::PromptCacheBytes);

impl Backend for CpuBackend {
    fn info(&self) -> BackendInfo {
        info()
    }

    fn availability(&self) -> Availability {
        Availability::Ready { device: device() }
    }

    fn load(&self, request: LoadRequest, progress: Progress) -> BoxFuture<Result<Arc<dyn Engine>>> {
        match check(&request.options) {
            Ok(()) => engine_runtime::spawn_engine(
                move |progress| load_with_text(request, progress),
                progress,
            ),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

/// Refuses what is out of range, not honoured here, or meant for a GPU.
pub(crate) fn check(options: &LoadOptions) -> Result<()> {
    options.validate(NAME, LOAD_OPTIONS)?;
    // Activations are f32 between the products; `F32` asks for more exact ones in those, too.
    if !matches!(options.compute, ComputeType::Auto | ComputeType::F32) {
        return Err(Error::Unsupported {
            backend: NAME.to_owned(),
            field: Field::Compute,
        });
    }
    match options.device {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(()),
        other => Err(Error::Unavailable {
            backend: NAME.to_owned(),
            reason: format!("it computes on the processor, not on {other:?}"),
        }),
    }
}

/// Name and version.
pub(crate) fn info() -> BackendInfo {
    BackendInfo {
        name: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        simulated: false,
    }
}

/// The device in words, with the instructions that are used.
pub(crate) fn device() -> String {
    format!("CPU ({})", kernels::best().name())
}
