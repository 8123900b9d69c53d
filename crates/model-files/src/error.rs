//! What can be wrong with model files, in words for a person, each with what to do about it.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

/// Everything this crate reports.
///
/// `Display` says what happened in one sentence; [`FilesError::suggestion`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// Nothing lies at the path that was to be opened.
    #[error("there is nothing at {}", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },

    /// A file that the model needs is not there.
    #[error("{} is missing{reason}", path.display())]
    Missing {
        /// Where it was expected.
        path: PathBuf,
        /// More about it, or nothing: ", although the index names it".
        reason: String,
    },

    /// The path is a file, but not of a kind that is read.
    #[error("{} is not a model file that can be read: {reason}", path.display())]
    UnknownFormat {
        /// The path as given.
        path: PathBuf,
        /// What it looks like.
        reason: String,
    },

    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried, as a verb: "read".
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },

    /// A checkout without git-LFS left a pointer where the file should be.
    #[error("{} is a git-LFS pointer, not the file itself", path.display())]
    LfsPointer {
        /// The pointer.
        path: PathBuf,
    },

    /// The file is there, but its content is not what it should be.
    #[error("{} is damaged or incomplete: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The folder has weights only in a form that runs code when it is read.
    #[error("{} holds its weights only as Python pickles ({found}), which are not read", path.display())]
    PicklesOnly {
        /// The folder.
        path: PathBuf,
        /// One of the files.
        found: String,
    },

    /// No tensor has that name.
    #[error("{} holds no tensor named {tensor}", path.display())]
    TensorNotFound {
        /// The folder or file.
        path: PathBuf,
        /// The name asked for.
        tensor: String,
    },

    /// The tensor's GGML type has no counterpart in MLX's affine form.
    #[error("{}: the tensor {tensor} is stored as {kind}, which is not read", path.display())]
    UnsupportedTensorType {
        /// The GGUF file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type, as GGML names it.
        kind: String,
    },

    /// The file is sound, but holds something that is not implemented.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not implemented, and what is.
        what: String,
    },

    /// A conversion would write over files that are there.
    #[error("{} is not an empty folder", path.display())]
    OutputNotEmpty {
        /// The folder to be written.
        path: PathBuf,
    },
}

impl FilesError {
    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> Cow<'static, str> {
        match self {
            Self::NotFound { .. } => {
                "check the path: it must be a folder with config.json and *.safetensors, or a GGUF file".into()
            }
            Self::Missing { path, .. } => match path.file_name().and_then(|name| name.to_str()) {
                Some("tokenizer.json") => {
                    "take tokenizer.json from the model's page; tokenizer.model alone is not read".into()
                }
                Some("model.safetensors") => {
                    "check that this is the model's folder and that its download is complete; a GGUF file is opened by its own path".into()
                }
                _ => "check that this is the model's folder and that its download is complete".into(),
            },
            Self::UnknownFormat { .. } => {
                "give the folder that holds config.json and *.safetensors, or a GGUF file".into()
            }
            Self::Io { .. } => "check that the file can be read or written by this user, and that the disk has room".into(),
            Self::LfsPointer { .. } => "run `git lfs pull` in the folder, or download the file from its page".into(),
            Self::Malformed { .. } => {
                "fetch the file again from its source and compare its size and checksum".into()
            }
            Self::PicklesOnly { .. } => {
                "take a version of the model that has *.safetensors, or convert it with mlx_lm.convert".into()
            }
            Self::TensorNotFound { .. } => {
                "check that the configuration and the weights belong to the same model".into()
            }
            Self::UnsupportedTensorType { .. } => {
                "use a file whose tensors are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K".into()
            }
            Self::Unsupported { .. } => {
                "use the model's safetensors folder, or another model".into()
            }
            Self::OutputNotEmpty { .. } => "choose a folder that is empty or does not exist yet".into(),
        }
    }

    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }
}
