//! A model whose panics are errors.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engine_core::{Error, Model, Result};

use crate::panic_message::panic_message;

/// A model that is not called again after it has panicked.
pub(crate) struct Guarded<M> {
    model: M,
    backend: String,
    panicked: Option<String>,
    unloaded: Arc<AtomicBool>,
}

impl<M: Model> Guarded<M> {
    /// A model that marks its engine as unloaded, through `unloaded`, when it panics.
    pub(crate) fn new(model: M, backend: String, unloaded: Arc<AtomicBool>) -> Self {
        Self {
            model,
            backend,
            panicked: None,
            unloaded,
        }
    }

    /// Calls the model. A panic becomes [`Error::Backend`], as does every call after it.
    pub(crate) fn call<T>(
        &mut self,
        operation: &str,
        work: impl FnOnce(&mut M) -> Result<T>,
    ) -> Result<T> {
        if self.panicked.is_none() {
            match catch_unwind(AssertUnwindSafe(|| work(&mut self.model))) {
                Ok(result) => return result,
                Err(payload) => {
                    self.unloaded.store(true, Ordering::Release);
                    self.panicked = Some(format!("panicked: {}", panic_message(payload.as_ref())));
                }
            }
        }
        Err(self.panic_error(operation))
    }

    /// Whether the model has panicked.
    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.is_some()
    }

    pub(super) fn panic_error(&self, operation: &str) -> Error {
        let reason = self.panicked.clone().unwrap_or_default();
        Error::backend(self.backend.clone(), operation, reason)
    }

    /// The backend's name.
    pub(crate) fn backend(&self) -> &str {
        &self.backend
    }

    /// Drops the model, even if that panics.
    pub(super) fn free(self) {
        let model = self.model;
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(model))) {
            let reason = panic_message(payload.as_ref());
            tracing::error!(backend = %self.backend, reason, "freeing the model panicked");
        }
    }
}
