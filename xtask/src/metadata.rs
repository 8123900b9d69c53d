//! The part of `cargo metadata`'s answer that the commands use.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;
use crate::process;

/// All packages of the workspace and how they depend on each other, on every
/// platform and with every feature.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) resolve: Resolve,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) manifest_path: PathBuf,
}

/// Who uses whom.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

/// What one package uses.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<Use>,
}

/// A package in use, and what for.
#[derive(Debug, Deserialize)]
pub(crate) struct Use {
    #[serde(rename = "pkg")]
    pub(crate) id: String,
    pub(crate) dep_kinds: Vec<Kind>,
}

/// `None` for ordinary use, else `dev` or `build`.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    pub(crate) kind: Option<String>,
}

impl Package {
    /// The folder with the package's sources.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

impl Use {
    /// Whether it is more than a dependency of tests and examples.
    pub(crate) fn is_in_the_product(&self) -> bool {
        self.dep_kinds
            .iter()
            .any(|kind| kind.kind.as_deref() != Some("dev"))
    }
}

/// Asks Cargo, which downloads the sources of all dependencies if they are not there.
pub(crate) fn read(root: &Path) -> Result<Metadata, Error> {
    let answer = process::run_quietly(
        process::cargo()
            .args(["metadata", "--all-features", "--format-version", "1"])
            .current_dir(root),
    )?;
    serde_json::from_str(&answer).map_err(|e| Error::Failed {
        program: "cargo metadata".into(),
        detail: format!("its answer cannot be read: {e}"),
    })
}
