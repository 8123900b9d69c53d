//! Bringing files from their sources into the cache.

mod answer;
mod body;
mod buffers;
mod extents;
mod file;
mod handover;
mod hashing;
mod journal;
mod leftovers;
mod pace;
mod partial;
mod parts;
mod place;
mod positioned;
mod request;
mod tries;

use std::{path::PathBuf, sync::Arc};

use tokio::sync::Semaphore;

pub(crate) use buffers::Buffers;
pub(crate) use file::{Came, Destination, fetch_file, visible_size};
pub(crate) use leftovers::{owner_of_partial, resumable};
pub(crate) use request::client;

use crate::{Error, control::Controller, options::Options, progress::Tally};

/// What all downloads of a downloader share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cache: PathBuf,
    pub(crate) client: reqwest::Client,
    pub(crate) options: Options,
    pub(crate) connections: Semaphore,
    pub(crate) buffers: Buffers,
}

/// One download.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) shared: Arc<Shared>,
    pub(crate) controller: Controller,
    pub(crate) tally: Arc<Tally>,
}

impl Run {
    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }
}

/// Does something that waits for the disk, away from the runtime's own threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Interrupted)?
}
