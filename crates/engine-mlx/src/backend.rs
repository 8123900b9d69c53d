//! The backend: what it is, whether it can run, and loading.

use std::sync::Arc;

use engine_core::{
    Availability, Backend, BackendInfo, BoxFuture, Engine, Error, Field, FieldSet, LoadRequest,
    Progress, Result, Suitability,
};

/// The backend's name.
pub(crate) const NAME: &str = "mlx";

/// Runs models on MLX: on Apple's GPUs through Metal, on NVIDIA's through CUDA, and on the processor.
///
/// Each engine has a thread of its own, on which its model is loaded and lives.
///
/// The CPU device is there for correctness: its kernels use one core and few vector instructions.
#[derive(Clone, Copy, Debug, Default)]
pub struct MlxBackend;

impl MlxBackend {
    /// The backend. It holds nothing.
    pub const fn new() -> Self {
        Self
    }
}

/// Every load option.
#[cfg_attr(
    not(any(target_vendor = "apple", mlx_runtime)),
    expect(dead_code, reason = "without MLX nothing is loaded")
)]
const LOAD_OPTIONS: FieldSet = FieldSet::NONE
    .with(Field::Device)
    .with(Field::Compute)
    .with(Field::ContextLength)
    .with(Field::PrefillChunk)
    .with(Field::MaxConcurrent)
    .with(Field::CacheLimitBytes)
    .with(Field::KvType)
    .with(Field::PromptCacheBytes);

impl Backend for MlxBackend {
    fn info(&self) -> BackendInfo {
        info()
    }

    fn availability(&self) -> Availability {
        availability()
    }

    fn suitability(&self) -> Suitability {
        if computes_on_gpu() {
            Suitability::Accelerated
        } else {
            Suitability::Fallback
        }
    }

    fn load(&self, request: LoadRequest, progress: Progress) -> BoxFuture<Result<Arc<dyn Engine>>> {
        match availability() {
            Availability::Ready { .. } => load(request, progress),
            Availability::Unavailable { reason } => refuse(reason),
            _ => refuse("its state is unknown".to_owned()),
        }
    }
}

/// Name and version.
pub(crate) fn info() -> BackendInfo {
    BackendInfo {
        name: NAME.to_owned(),
        version: version(),
        simulated: false,
    }
}

fn refuse(reason: String) -> BoxFuture<Result<Arc<dyn Engine>>> {
    Box::pin(std::future::ready(Err(Error::Unavailable {
        backend: NAME.to_owned(),
        reason,
    })))
}

#[cfg(any(target_vendor = "apple", mlx_runtime))]
use with_mlx::{availability, computes_on_gpu, load, version};

#[cfg(any(target_vendor = "apple", mlx_runtime))]
mod with_mlx {
    //! What is asked of MLX.

    use super::{Arc, BoxFuture, Engine, LOAD_OPTIONS, LoadRequest, NAME, Progress, Result};
    use crate::mlx::load_with_text;
    pub(super) use crate::mlx::{availability, computes_on_gpu, version};

    pub(super) fn load(
        request: LoadRequest,
        progress: Progress,
    ) -> BoxFuture<Result<Arc<dyn Engine>>> {
        match request.options.validate(NAME, LOAD_OPTIONS) {
            Ok(()) => engine_runtime::spawn_engine(
                move |progress| load_with_text(request, progress),
                progress,
            ),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

#[cfg(not(any(target_vendor = "apple", mlx_runtime)))]
use without_mlx::{availability, computes_on_gpu, load, version};

#[cfg(not(any(target_vendor = "apple", mlx_runtime)))]
mod without_mlx {
    //! What is said when MLX is not part of the build.

    use super::{Arc, Availability, BoxFuture, Engine, LoadRequest, Progress, Result, refuse};

    const REASON: &str =
        "built without MLX: run `cargo xtask setup` and build again, on Linux or macOS";

    pub(super) fn availability() -> Availability {
        Availability::Unavailable {
            reason: REASON.to_owned(),
        }
    }

    pub(super) fn computes_on_gpu() -> bool {
        false
    }

    pub(super) fn load(_: LoadRequest, _: Progress) -> BoxFuture<Result<Arc<dyn Engine>>> {
        refuse(REASON.to_owned())
    }

    pub(super) fn version() -> String {
        "none".to_owned()
    }
}
