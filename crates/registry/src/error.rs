//! What can be wrong with names and lists, in words for a person, each with what to do about it.

use std::{borrow::Cow, io, path::PathBuf};

/// Everything this crate reports.
///
/// `Display` says what happened in one sentence; [`RegistryError::suggestion`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No entry bears that name.
    #[error("no model is called {name:?}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Names that are spelt alike, the closest first.
        closest: Vec<String>,
    },

    /// A list can't be read.
    #[error("could not read the list of models {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },

    /// A list is no TOML, or has a field that does not belong there.
    #[error("the list of models {list} can't be understood: {reason}")]
    Malformed {
        /// The file, or "built in".
        list: String,
        /// What is wrong, and where.
        reason: String,
    },

    /// An entry of a list has a value that can't be.
    #[error("the model {name:?} of the list {list} can't be used: {field} must be {expected}")]
    InvalidEntry {
        /// The file, or "built in".
        list: String,
        /// The entry.
        name: String,
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: Cow<'static, str>,
    },
}

impl RegistryError {
    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownModel { closest, .. } => match &closest[..] {
                [] => "list the known models with `mlxengine models list`, or give a hub id such as organisation/name".into(),
                names => format!("did you mean {}?", names.join(" or ")).into(),
            },
            Self::Io { .. } => "check the path, and that this user may read the file".into(),
            Self::Malformed { .. } | Self::InvalidEntry { .. } => {
                "correct the list; its format is described in the registry's documentation".into()
            }
        }
    }
}
