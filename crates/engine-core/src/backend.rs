//! A way to run models.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{BoxFuture, Engine, LoadRequest, Progress, Result};

/// What a backend says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// A short lower-case name: "mlx", "cpu", "mock".
    pub name: String,
    /// The version of the library that computes.
    pub version: String,
    /// Whether answers are made up: `true` for the mock.
    pub simulated: bool,
}

/// Whether a backend can run on this machine, in this build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Availability {
    /// It can.
    Ready {
        /// The device that [`DeviceChoice::Auto`](crate::DeviceChoice::Auto) would take, in words.
        device: String,
    },
    /// It can't.
    Unavailable {
        /// Why not, in words.
        reason: String,
    },
}

/// How well a backend suits the machine that it runs on, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Suitability {
    /// It computes on a GPU or another accelerator.
    Accelerated,
    /// It is made for the processor.
    Native,
    /// It is correct here, but made for other devices, and slow.
    Fallback,
}

/// A way to run models: MLX, the mock, yours.
///
/// Say what it is, whether it can run here, and load. A backend author implements this together
/// with [`Model`](crate::Model), and lets the crate `engine-runtime` make the [`Engine`].
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Name and version; the same on every call.
    fn info(&self) -> BackendInfo;

    /// Whether [`Backend::load`] can work at all. Cheap enough to ask at start-up.
    fn availability(&self) -> Availability;

    /// How well it suits this machine, for an automatic choice among backends that are ready. Cheap
    /// enough to ask at start-up.
    fn suitability(&self) -> Suitability {
        Suitability::Native
    }

    /// Loads a model from this machine's disk.
    ///
    /// # Behavior
    /// - Every option that is set is honoured or refused with [`Error::Unsupported`].
    /// - Progress comes in the order that [`Progress`] describes.
    /// - Dropping the future cancels the load and frees what it held.
    /// - A failed load leaves the process able to load another model.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::ModelNotFound`], [`Error::InvalidModel`],
    /// [`Error::UnsupportedModel`], [`Error::OutOfMemory`], or what the backend's library said.
    ///
    /// [`Error::Unsupported`]: crate::Error::Unsupported
    /// [`Error::Unavailable`]: crate::Error::Unavailable
    /// [`Error::ModelNotFound`]: crate::Error::ModelNotFound
    /// [`Error::InvalidModel`]: crate::Error::InvalidModel
    /// [`Error::UnsupportedModel`]: crate::Error::UnsupportedModel
    /// [`Error::OutOfMemory`]: crate::Error::OutOfMemory
    fn load(&self, request: LoadRequest, progress: Progress) -> BoxFuture<Result<Arc<dyn Engine>>>;
}
