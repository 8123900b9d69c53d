//! The entry point: a downloader for one cache.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    Download, DownloaderBuilder, Error, FilePath, Plan,
    cache::{self, RepoLayout},
    options::Options,
    transfer::{self, Shared, blocking},
};

/// Fetches plans into one Hugging Face cache. Clones share connections and limits.
#[derive(Debug, Clone)]
pub struct Downloader {
    shared: Arc<Shared>,
}

/// What a download would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// Each file, in the order of the plan.
    pub files: Vec<FilePreview>,
    /// Bytes that would come over the network, as far as sizes are known.
    pub bytes_to_fetch: u64,
    /// Bytes free on the disk of the cache, where that can be told.
    pub available: Option<u64>,
}

/// What a download would do for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilePreview {
    /// Its path in the repository.
    pub path: FilePath,
    /// Its size, if it is known.
    pub size: Option<u64>,
    /// Bytes that are there: all of a complete file, or what an earlier run left.
    pub bytes_there: u64,
    /// Whether the file is complete.
    pub complete: bool,
}

impl Downloader {
    /// A downloader for the cache in a folder, which is made when it is needed.
    pub fn builder(cache: impl Into<PathBuf>) -> DownloaderBuilder {
        DownloaderBuilder::new(cache.into())
    }

    pub(crate) fn with_options(cache: &Path, options: Options) -> Result<Self, Error> {
        let cache = std::path::absolute(cache).map_err(|e| Error::io("find", cache, e))?;
        let client = transfer::client(&options).map_err(|source| Error::Client { source })?;
        Ok(Self {
            shared: Arc::new(Shared {
                cache,
                client,
                connections: Semaphore::new(options.connections),
                buffers: transfer::Buffers::default(),
                options,
            }),
        })
    }

    /// The cache's folder.
    pub fn cache(&self) -> &Path {
        &self.shared.cache
    }

    /// Begins a download. It runs on its own; dropping what is returned cancels it.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] if there is no tokio runtime.
    pub fn start(&self, plan: Plan) -> Result<Download, Error> {
        self.start_with(plan, &CancellationToken::new())
    }

    /// Begins a download that `token` cancels too.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] if there is no tokio runtime.
    pub fn start_with(&self, plan: Plan, token: &CancellationToken) -> Result<Download, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::Interrupted)?;
        Ok(Download::spawn(
            &runtime,
            Arc::clone(&self.shared),
            plan,
            token.child_token(),
        ))
    }

    /// Says what a download would do. Nothing is fetched or written.
    pub async fn preview(&self, plan: &Plan) -> Result<Preview, Error> {
        let (cache, plan) = (self.shared.cache.clone(), plan.clone());
        blocking(move || Ok(preview(&cache, &plan))).await
    }
}

pub(crate) fn preview(cache: &Path, plan: &Plan) -> Preview {
    let layout = RepoLayout::new(cache, &plan.repo);
    let files: Vec<FilePreview> = plan
        .files
        .iter()
        .map(|file| {
            let pointer = layout.pointer(&plan.commit, &file.path);
            let name = file.blob_name();
            let blob = name.as_ref().map(|name| layout.blob(name));
            let complete = transfer::visible_size(&pointer, file.size, name.as_ref())
                .or_else(|| transfer::visible_size(&blob?, file.size, None));
            let bytes_there = match (complete, &name) {
                (Some(size), _) => size,
                (None, Some(name)) => transfer::resumable(&layout, name, file.size),
                (None, None) => 0,
            };
            FilePreview {
                path: file.path.clone(),
                size: file.size.or(complete),
                bytes_there,
                complete: complete.is_some(),
            }
        })
        .collect();
    let missing = |file: &FilePreview| match file.size {
        Some(size) if !file.complete => size.saturating_sub(file.bytes_there),
        _ => 0,
    };
    // The folder itself may not be there yet.
    let folder = cache.ancestors().find(|folder| folder.exists());
    Preview {
        bytes_to_fetch: files.iter().map(missing).sum(),
        available: folder.and_then(cache::available),
        files,
    }
}
