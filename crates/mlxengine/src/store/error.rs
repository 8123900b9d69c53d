//! What can go wrong between a name and its files.

use std::{borrow::Cow, path::PathBuf};

use downloader::Error as DownloadError;
use hub_client::HubError;
use registry::RegistryError;

/// Everything that [`ModelStore`](crate::ModelStore) reports.
///
/// `Display` says what happened in one sentence; [`StoreError::suggestion`] says what to do. No
/// variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The Hub could not be asked, or said no.
    #[error(transparent)]
    Hub(#[from] HubError),

    /// The files could not be fetched, or the cache could not be used.
    #[error(transparent)]
    Download(#[from] DownloadError),

    /// The name is not known, or a list of models can't be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),

    /// The model could not be loaded.
    #[error(transparent)]
    Engine(#[from] crate::Error),

    /// The model is not on this machine, and the store is offline.
    #[error("{model} is not on this machine{}", lacking(.missing))]
    NotHere {
        /// The model.
        model: String,
        /// Files that it lacks, if some of it is there.
        missing: Vec<String>,
    },

    /// The repository has no weights that this project reads.
    #[error("{repo} has no weights that can be loaded{}", instead(.found))]
    NoWeights {
        /// The repository.
        repo: String,
        /// Weights in other forms.
        found: Vec<String>,
    },

    /// The repository has several GGUF files that fit, and one has to be named.
    #[error("{repo} has several GGUF files that fit: {}", .files.join(", "))]
    SeveralGguf {
        /// The repository.
        repo: String,
        /// The files that fit.
        files: Vec<String>,
    },

    /// The repository has no GGUF file as it was asked for.
    #[error("{repo} has no GGUF file that fits {wanted:?}{}", instead(.found))]
    NoGguf {
        /// The repository.
        repo: String,
        /// What was asked for.
        wanted: String,
        /// Its GGUF files.
        found: Vec<String>,
    },

    /// A path was given where only a model of the Hub will do.
    #[error("{} is a place on this machine, not a model of the Hub", path.display())]
    Local {
        /// The path.
        path: PathBuf,
    },

    /// A model's file is not what it should be.
    #[error("{} can't be used: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The async runtime ended before the work did.
    #[error("the async runtime stopped before the work was done")]
    Interrupted,
}

fn lacking(missing: &[String]) -> String {
    match missing {
        [] => String::new(),
        names => format!(": it lacks {}", names.join(", ")),
    }
}

fn instead(found: &[String]) -> String {
    match found {
        [] => String::new(),
        names => format!(", only {}", names.join(", ")),
    }
}

impl StoreError {
    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> Cow<'static, str> {
        match self {
            Self::Hub(error) => error.suggestion(),
            Self::Download(error) => error.suggestion(),
            Self::Registry(error) => error.suggestion(),
            Self::Engine(error) => error.suggestion(),
            Self::NotHere { .. } => {
                "go online (unset HF_HUB_OFFLINE) and fetch it with `mlxengine pull`".into()
            }
            Self::SeveralGguf { repo, .. } => {
                format!("name one of them, or a word that only it has, as in {repo}:Q4_K_M").into()
            }
            Self::NoGguf { found, .. } if found.is_empty() => {
                "leave out what follows the colon, if the repository has safetensors".into()
            }
            Self::NoGguf { repo, .. } => {
                format!("name one of its files after the colon: {repo}:NAME; files in several parts can't be loaded").into()
            }
            Self::NoWeights { .. } => {
                "look for a version of the model with safetensors, for instance of mlx-community".into()
            }
            Self::Local { .. } => "give the name of a model, as in organisation/name".into(),
            Self::BadFile { .. } => {
                "run `mlxengine models verify --repair`, then fetch the model again".into()
            }
            Self::Interrupted => "run it again".into(),
        }
    }

    /// Whether the same call may succeed later with nothing changed by the caller.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Hub(error) => error.is_retryable(),
            Self::Download(error) => error.is_retryable(),
            Self::Engine(error) => error.is_retryable(),
            Self::Interrupted => true,
            _ => false,
        }
    }
}

impl From<hub_client::InvalidName> for StoreError {
    fn from(error: hub_client::InvalidName) -> Self {
        Self::Hub(error.into())
    }
}

impl From<downloader::NameError> for StoreError {
    fn from(error: downloader::NameError) -> Self {
        Self::Download(error.into())
    }
}
