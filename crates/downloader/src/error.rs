//! What can go wrong, in words for a person, each with what to do about it.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Digest, FilePath, NameError, PlanError, RedactedUrl, RepoFolder, SourceError, source::BoxError,
};

/// Everything this crate reports.
///
/// `Display` says what happened in one sentence; [`Error::suggestion`] says what to do.
/// URLs are shown without their query strings, and no variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server could not be reached, or the connection broke.
    #[error("the connection to {url} failed while fetching {path}")]
    Network {
        /// The file.
        path: FilePath,
        /// The server.
        url: RedactedUrl,
        /// What the HTTP library said.
        #[source]
        source: BoxError,
    },

    /// Nothing came for too long.
    #[error("{url} sent nothing for {} s while fetching {path}", after.as_secs())]
    Stalled {
        /// The file.
        path: FilePath,
        /// The server.
        url: RedactedUrl,
        /// The time without a byte.
        after: Duration,
    },

    /// Far less came than before, so that another connection was to be tried.
    #[error("{url} sent only {bytes_per_second} bytes a second of {path}")]
    TooSlow {
        /// The file.
        path: FilePath,
        /// The server.
        url: RedactedUrl,
        /// How little came.
        bytes_per_second: u64,
    },

    /// The server refused.
    #[error("{url} answered {status} for {path}")]
    Status {
        /// The file.
        path: FilePath,
        /// The server.
        url: RedactedUrl,
        /// The HTTP status.
        status: u16,
    },

    /// The server's answer does not fit the question.
    #[error("{url} gave an answer for {path} that can't be used: {reason}")]
    UnusableAnswer {
        /// The file.
        path: FilePath,
        /// The server.
        url: RedactedUrl,
        /// What is wrong with it.
        reason: String,
    },

    /// The source does not know where the file is.
    #[error("{path} could not be located: {source}")]
    Locate {
        /// The file.
        path: FilePath,
        /// What the source said.
        source: SourceError,
    },

    /// A name from a server or a user is not what it should be.
    #[error(transparent)]
    InvalidName(#[from] NameError),

    /// The files can't be one plan.
    #[error(transparent)]
    Plan(#[from] PlanError),

    /// Neither the plan nor the server says which content the file has.
    #[error("{path} has neither a digest nor an ETag, so there is no name for it in the cache")]
    Unidentified {
        /// The file.
        path: FilePath,
    },

    /// The server has another content than the plan says, or than it had at first.
    #[error("{path} is not the same at its server as when the download began")]
    Changed {
        /// The file.
        path: FilePath,
    },

    /// The file is shorter or longer than announced.
    #[error("{path} has {got} bytes instead of {expected}")]
    SizeMismatch {
        /// The file.
        path: FilePath,
        /// The bytes announced.
        expected: u64,
        /// The bytes that came.
        got: u64,
    },

    /// The content is not what it should be, twice.
    #[error("{path} arrived damaged twice: {got} instead of {expected}")]
    DigestMismatch {
        /// The file.
        path: FilePath,
        /// The digest it should have.
        expected: Digest,
        /// The digest of what came.
        got: Digest,
    },

    /// The disk has too little room.
    #[error("the disk that holds {} is full{}", path.display(), room(*needed, *available))]
    DiskFull {
        /// The cache.
        path: PathBuf,
        /// The bytes still to be written, where known.
        needed: Option<u64>,
        /// The bytes that are free, where known.
        available: Option<u64>,
    },

    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried, as a verb: "write".
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },

    /// The HTTP client can't be set up.
    #[error("the HTTP client could not be set up")]
    Client {
        /// What the HTTP library said.
        #[source]
        source: BoxError,
    },

    /// A setting is out of its range.
    #[error("the setting {name} is not valid: {reason}")]
    InvalidOption {
        /// The setting.
        name: &'static str,
        /// What it has to be.
        reason: &'static str,
    },

    /// A pattern for file names can't be read.
    #[error("{pattern:?} is not a valid pattern: {reason}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The cache does not have it.
    #[error("{what} of {repo} is not in the cache")]
    NotCached {
        /// The repository.
        repo: RepoFolder,
        /// What was asked for: "revision main".
        what: String,
    },

    /// What was to be deleted is in use.
    #[error("{repo} is in use by {by}")]
    InUse {
        /// The repository.
        repo: RepoFolder,
        /// Who uses it.
        by: String,
    },

    /// The caller stopped the work.
    #[error("the download was cancelled")]
    Cancelled,

    /// The async runtime ended before the work did.
    #[error("the async runtime stopped before the download was done")]
    Interrupted,
}

fn room(needed: Option<u64>, available: Option<u64>) -> String {
    match (needed, available) {
        (Some(needed), Some(available)) => {
            format!(": {needed} bytes are needed and {available} are free")
        }
        (Some(needed), None) => format!(": {needed} bytes are needed"),
        _ => String::new(),
    }
}

impl Error {
    /// Whether a file or folder is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> Cow<'static, str> {
        match self {
            Self::Network { .. } => {
                "check the network (and the proxy, if there is one) and run it again: it goes on where it stopped".into()
            }
            Self::Stalled { .. } | Self::TooSlow { .. } => {
                "run it again: it goes on where it stopped; if it repeats, try later or another network".into()
            }
            Self::Status { status, .. } => match status {
                401 | 403 => "check that the token gives access to this file".into(),
                404 | 410 => "check that the file still exists at this revision".into(),
                429 => "wait a few minutes and run it again: it goes on where it stopped".into(),
                _ => "run it again later: it goes on where it stopped".into(),
            },
            Self::UnusableAnswer { .. } => {
                "check whether a proxy or a mirror stands between this machine and the server".into()
            }
            Self::Locate { source, .. } => source.suggestion().map_or_else(
                || "check the name, the revision and the network".into(),
                |suggestion| suggestion.to_owned().into(),
            ),
            Self::InvalidName(_) => {
                "check the spelling; if the name came from a server, do not trust that server".into()
            }
            Self::Plan(_) => "leave one of the files out".into(),
            Self::Unidentified { .. } => {
                "use the original server, or a mirror that passes the ETag header on".into()
            }
            Self::Changed { .. } => "run it again with a new plan, from a fixed commit".into(),
            Self::SizeMismatch { .. } | Self::DigestMismatch { .. } => {
                "run it again, from another network or mirror if there is one; nothing damaged was kept".into()
            }
            Self::DiskFull { .. } => {
                "free some space or choose another cache folder, then run it again: it goes on where it stopped".into()
            }
            Self::Io { .. } => {
                "check that this user may read and write there".into()
            }
            Self::Client { .. } => {
                "check the proxy variables and the system's certificates".into()
            }
            Self::InvalidOption { .. } => "choose another value".into(),
            Self::InvalidPattern { .. } => "write it like *.safetensors or tokenizer.*".into(),
            Self::NotCached { .. } => "fetch it first, or list what the cache has".into(),
            Self::InUse { .. } => "close the program that uses it, then run it again".into(),
            Self::Cancelled | Self::Interrupted => {
                "run it again to go on where it stopped".into()
            }
        }
    }

    /// Whether the same call may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Network { .. }
            | Self::Stalled { .. }
            | Self::TooSlow { .. }
            | Self::Changed { .. }
            | Self::SizeMismatch { .. }
            | Self::DigestMismatch { .. }
            | Self::InUse { .. }
            | Self::Cancelled
            | Self::Interrupted => true,
            Self::Status { status, .. } => is_retryable_status(*status),
            Self::Locate { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        if is_disk_full(&source) {
            return Self::DiskFull {
                path: path.to_owned(),
                needed: None,
                available: None,
            };
        }
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// Statuses after which the same request may succeed.
pub(crate) fn is_retryable_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
