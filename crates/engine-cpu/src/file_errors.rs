//! What is wrong with a model's files, as errors of the core.

use std::path::Path;

use engine_core::Error;
use model_arch::{ArchError, TensorRole};
use model_files::FilesError;

use crate::backend::NAME;

/// A file, or the lack of one. `model` is the path that the model was to be loaded from.
pub(crate) fn from_files(model: &Path, error: FilesError) -> Error {
    let (path, reason) = match error {
        FilesError::NotFound { path } => return Error::ModelNotFound { path },
        FilesError::UnsupportedTensorType { .. }
        | FilesError::Unsupported { .. }
        | FilesError::PicklesOnly { .. } => return unsupported(error.to_string()),
        FilesError::Missing { path, reason } => (path, format!("it is missing{reason}")),
        FilesError::UnknownFormat { path, reason } | FilesError::Malformed { path, reason } => {
            (path, reason)
        }
        FilesError::Io {
            operation,
            path,
            source,
        } => (path, format!("could not {operation} it: {source}")),
        FilesError::LfsPointer { path } => (
            path,
            "it is a git-LFS pointer, not the file itself".to_owned(),
        ),
        FilesError::TensorNotFound { path, tensor } => {
            (path, format!("it holds no tensor named {tensor}"))
        }
        other => (model.to_path_buf(), other.to_string()),
    };
    Error::InvalidModel { path, reason }
}

/// A configuration. `config` is the file that it was read from.
pub(crate) fn from_arch(config: &Path, error: &ArchError) -> Error {
    match error {
        ArchError::MissingField { .. } | ArchError::InvalidField { .. } => {
            invalid(config, error.to_string())
        }
        _ => unsupported(error.to_string()),
    }
}

/// A part of the decoder that the spec's list of tensors leaves out.
pub(crate) fn missing(layer: Option<u32>, role: TensorRole) -> Error {
    unsupported(match layer {
        Some(layer) => format!("layer {layer} has no {role:?}"),
        None => format!("it has no {role:?}"),
    })
}

/// A file that can't be used.
pub(crate) fn invalid(path: &Path, reason: String) -> Error {
    Error::InvalidModel {
        path: path.to_path_buf(),
        reason,
    }
}

/// Something that this backend lacks.
pub(crate) fn unsupported(reason: String) -> Error {
    Error::UnsupportedModel {
        backend: NAME.to_owned(),
        reason,
    }
}
