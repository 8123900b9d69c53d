//! What a person calls a model.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use hub_client::{RepoId, Revision};
use registry::{ModelEntry, Place, Registry};

use super::StoreError;

/// A model, as it was named.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NamedModel {
    /// A folder or file of this machine.
    Local {
        /// Where.
        path: PathBuf,
        /// What the registry says about it, if it was named by it.
        entry: Option<Box<ModelEntry>>,
    },
    /// A repository of the Hub.
    Hub {
        /// The repository.
        repo: RepoId,
        /// The branch, tag or commit.
        revision: Revision,
        /// Which GGUF file, by its name or a word of it such as `Q4_K_M`; `None` for what the
        /// repository has only one of.
        file: Option<String>,
        /// What the registry says about it.
        entry: Option<Box<ModelEntry>>,
    },
}

impl NamedModel {
    /// Finds out what is meant: a path of this machine, a name of the registry, or
    /// `organisation/name` of the Hub; each of the latter two with `@revision` if one is wanted, and
    /// `:Q4_K_M` before that to choose one of several GGUF files.
    ///
    /// A path is what exists, and what looks like one: absolute, or beginning with `.` or `~/`.
    ///
    /// # Errors
    /// [`RegistryError::UnknownModel`](registry::RegistryError::UnknownModel) with similar names;
    /// [`HubError::InvalidName`](hub_client::HubError::InvalidName).
    pub fn find(name: &str, registry: &Registry) -> Result<Self, StoreError> {
        let name = name.trim();
        if Self::is_path(name) {
            return Ok(Self::Local {
                path: PathBuf::from(name),
                entry: None,
            });
        }
        let (name, asked) = match name.split_once('@') {
            Some((name, revision)) => (name, Some(Revision::parse(revision)?)),
            None => (name, None),
        };
        let (name, file) = match (registry.get(name), name.split_once(':')) {
            (Err(_), Some((name, file))) if !file.is_empty() => (name, Some(file.to_owned())),
            _ => (name, None),
        };
        match registry.get(name) {
            Ok(entry) => Self::from_entry(entry, asked, file),
            // Only names with an organisation are asked for on the Hub: a misspelt short name
            // should be told so, and not by way of the network.
            Err(_) if name.contains('/') => Ok(Self::Hub {
                repo: RepoId::parse(name)?,
                revision: asked.unwrap_or_default(),
                file,
                entry: None,
            }),
            Err(unknown) => Err(unknown.into()),
        }
    }

    /// Whether a name is a path of this machine: it exists, is absolute, or begins with `.` or `~/`.
    pub fn is_path(name: &str) -> bool {
        let path = Path::new(name);
        let looks_so = path.is_absolute() || name.starts_with('.') || name.starts_with("~/");
        looks_so || (!name.is_empty() && path.exists())
    }

    fn from_entry(
        entry: &ModelEntry,
        asked: Option<Revision>,
        file: Option<String>,
    ) -> Result<Self, StoreError> {
        let boxed = Some(Box::new(entry.clone()));
        match &entry.place {
            Place::Hub { repo, revision } => {
                let listed = revision.as_deref().map(Revision::parse).transpose()?;
                Ok(Self::Hub {
                    repo: RepoId::parse(repo.as_str())?,
                    revision: asked.or(listed).unwrap_or_default(),
                    file,
                    entry: boxed,
                })
            }
            Place::Local { path } => Ok(Self::Local {
                path: path.clone(),
                entry: boxed,
            }),
            other => Err(StoreError::BadFile {
                path: PathBuf::from(&entry.name),
                reason: format!("its place {other:?} is not known"),
            }),
        }
    }

    /// With another revision; a local model has none and stays as it is.
    #[must_use]
    pub fn at(mut self, wanted: Revision) -> Self {
        if let Self::Hub { revision, .. } = &mut self {
            *revision = wanted;
        }
        self
    }

    /// The repository and revision.
    ///
    /// # Errors
    /// [`StoreError::Local`].
    pub fn on_hub(&self) -> Result<(&RepoId, &Revision), StoreError> {
        match self {
            Self::Hub { repo, revision, .. } => Ok((repo, revision)),
            Self::Local { path, .. } => Err(StoreError::Local { path: path.clone() }),
        }
    }

    /// Which GGUF file is wanted, if one was named.
    pub(super) fn gguf(&self) -> Option<&str> {
        match self {
            Self::Local { .. } => None,
            Self::Hub { file, .. } => file.as_deref(),
        }
    }

    /// What the registry says about it.
    pub fn entry(&self) -> Option<&ModelEntry> {
        match self {
            Self::Local { entry, .. } | Self::Hub { entry, .. } => entry.as_deref(),
        }
    }

    pub(super) fn place(&self) -> Place {
        match self {
            Self::Local { path, .. } => Place::Local { path: path.clone() },
            Self::Hub { repo, revision, .. } => Place::Hub {
                repo: repo.to_string(),
                revision: Some(revision.to_string()),
            },
        }
    }
}

impl fmt::Display for NamedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { path, .. } => path.display().fmt(f),
            Self::Hub {
                repo,
                revision,
                file,
                ..
            } => {
                repo.fmt(f)?;
                if let Some(file) = file {
                    write!(f, ":{file}")?;
                }
                if *revision == Revision::main() {
                    return Ok(());
                }
                write!(f, "@{revision}")
            }
        }
    }
}
