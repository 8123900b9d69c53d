//! Whether this project can run a model today.

use model_arch::ArchError;
use serde::Serialize;

/// Whether this project's engines can run a model, as far as its description tells.
///
/// It is computed from what `model-arch` reads, never written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Runs {
    /// They can.
    Yes,
    /// They can't, for this reason.
    NotYet {
        /// What is missing.
        reason: String,
    },
    /// The description does not say enough.
    Unknown,
}

impl Runs {
    /// Whether they can.
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }

    pub(crate) fn of<T>(read: &Result<T, ArchError>) -> Self {
        match read {
            Ok(_) => Self::Yes,
            // Lists need not say everything that a real configuration does.
            Err(ArchError::MissingField { .. }) => Self::Unknown,
            Err(error) => Self::NotYet {
                reason: error.to_string(),
            },
        }
    }
}
