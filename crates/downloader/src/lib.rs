#![doc = include_str!("../README.md")]

mod cache;
mod control;
mod digest;
mod downloader;
mod error;
mod job;
mod listing;
mod names;
mod options;
mod plan;
mod progress;
mod selection;
mod source;
mod transfer;

pub use cache::{
    Cache, CacheContents, CacheWarning, CachedFile, CachedRepo, CachedRevision, CleanUp,
    CleanUpReport, Finding, InUse, Removal, RemovalKind, Verification, VerifiedFile,
};
pub use control::Controller;
pub use digest::Digest;
pub use downloader::{Downloader, FilePreview, Preview};
pub use error::Error;
pub use job::{Download, Snapshot, SnapshotFile};
pub use listing::{ListedFile, Listing};
pub use names::{BlobName, Commit, FilePath, NameError, RefName, RepoFolder};
pub use options::DownloaderBuilder;
pub use plan::{Plan, PlanError, PlannedFile};
pub use progress::{FileProgress, FileState, Progress, ProgressStream};
pub use selection::Selection;
pub use source::{BoxError, FixedLocation, Location, RedactedUrl, Source, SourceError};
pub use tokio_util::sync::CancellationToken;
