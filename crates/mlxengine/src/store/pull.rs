//! Fetching a model.

use std::{
    fmt,
    future::IntoFuture,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use downloader::{CancellationToken, Preview, Progress, Selection};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_core::{Stream, future::BoxFuture};
use futures_util::StreamExt as _;
use hub_client::{HubError, ModelInfo, RepoId, Revision};

use super::{
    ModelStore, NamedModel, StoreError, StoredModel, blocking,
    files::{self, Here},
    plan,
};

/// A model about to be fetched; `.await` it.
///
/// Made by [`ModelStore::pull`]. Nothing happens before it is awaited; dropping the future cancels,
/// and what has arrived is kept for the next time.
#[must_use = "nothing is fetched until this is awaited"]
pub struct Pull {
    store: ModelStore,
    model: NamedModel,
    selection: Option<Selection>,
    progress: Option<UnboundedSender<Progress>>,
    cancel: CancellationToken,
}

/// A model that has been fetched, or was there.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// The model, ready to be loaded.
    pub model: StoredModel,
    /// Its folder, or its GGUF file.
    pub path: PathBuf,
    /// Bytes of the files that were wanted.
    pub bytes: u64,
    /// Bytes that came over the network.
    pub received: u64,
    /// Why the Hub was not asked, or could not be, so that the cache answered alone.
    pub not_asked: Option<HubError>,
}

/// How far a fetch is: the newest state, several times a second, until the fetch ends.
#[derive(Debug)]
pub struct PullProgressStream(UnboundedReceiver<Progress>);

impl Stream for PullProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        // Only the newest counts, and a reader that is slow must not find a queue.
        let mut newest = None;
        loop {
            match Pin::new(&mut self.0).poll_next(context) {
                Poll::Ready(Some(progress)) => newest = Some(progress),
                Poll::Ready(None) => return Poll::Ready(newest),
                Poll::Pending if newest.is_some() => return Poll::Ready(newest),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Pull {
    pub(super) fn new(store: ModelStore, model: NamedModel) -> Self {
        Self {
            store,
            model,
            selection: None,
            progress: None,
            cancel: CancellationToken::new(),
        }
    }

    /// Only these files, instead of what a model needs; no weights need to be among them.
    pub fn select(mut self, selection: Selection) -> Self {
        self.selection = Some(selection);
        self
    }

    /// Ends with [`Error::Cancelled`](downloader::Error::Cancelled) when the token is cancelled.
    pub fn cancelled_by(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }

    /// The fetch and the stream of its progress, to be polled side by side.
    pub fn progress_stream(mut self) -> (Self, PullProgressStream) {
        let (sender, receiver) = unbounded();
        self.progress = Some(sender);
        (self, PullProgressStream(receiver))
    }

    /// What would be fetched. Nothing is written.
    ///
    /// # Errors
    /// As when awaited.
    pub async fn preview(self) -> Result<Preview, StoreError> {
        let (repo, revision) = self.model.on_hub()?;
        let info = self.store.hub.model_info(repo, revision).await?;
        let wanted = self.wanted(repo, revision, &info)?;
        Ok(self.store.downloader.preview(&wanted.plan).await?)
    }

    fn wanted(
        &self,
        repo: &RepoId,
        revision: &Revision,
        info: &ModelInfo,
    ) -> Result<plan::Wanted, StoreError> {
        let which = match &self.selection {
            Some(selection) => plan::Files::Chosen(selection),
            None => plan::Files::Model {
                gguf: self.model.gguf(),
            },
        };
        plan::wanted(&self.store.impatient_hub, repo, revision, info, which)
    }

    async fn run(self) -> Result<Pulled, StoreError> {
        let (repo, revision) = self.model.on_hub()?;
        let cached = Cached::look(&self.store, &self.model).await?;
        if let Some(cached) = &cached
            && cached.is_whole()
            && revision.as_commit().is_some()
            && self.selection.is_none()
        {
            // A commit never changes, so there is nothing to ask.
            return self.answer_from_cache(repo, cached, None).await;
        }
        let whole = cached.as_ref().filter(|cached| cached.is_whole());
        // With something to fall back on there is no point in waiting for a Hub in trouble.
        let hub = match whole {
            Some(_) => &self.store.impatient_hub,
            None => &self.store.hub,
        };
        let info = match (hub.model_info(repo, revision).await, &cached) {
            (Ok(info), _) => info,
            (Err(error), Some(cached))
                if cached.is_whole() && self.selection.is_none() && is_out_of_reach(&error) =>
            {
                return self.answer_from_cache(repo, cached, Some(error)).await;
            }
            (Err(HubError::Offline { .. }), cached) => {
                return Err(not_here(
                    &self.model,
                    cached.as_ref().map(|cached| &cached.here),
                ));
            }
            (Err(error), _) => return Err(error.into()),
        };
        let wanted = self.wanted(repo, revision, &info)?;
        let download = self
            .store
            .downloader
            .start_with(wanted.plan, &self.cancel)?;
        let snapshot = match &self.progress {
            None => download.await?,
            Some(sender) => {
                let mut steps = download.progress();
                let tell = async {
                    while let Some(step) = steps.next().await {
                        // An error means that the listener has gone, which is its right.
                        let _ = sender.unbounded_send(step);
                    }
                };
                futures_util::future::join(download, tell).await.0?
            }
        };
        let model = self.model.clone();
        let path = match &wanted.gguf {
            Some(file) => snapshot.path.join(file.as_str()),
            None => snapshot.path,
        };
        let stored = self.store.stored(model, repo, wanted.commit, path.clone());
        Ok(Pulled {
            model: stored.await?,
            path,
            bytes: snapshot.files.iter().map(|file| file.size).sum(),
            received: snapshot.received,
            not_asked: None,
        })
    }

    async fn answer_from_cache(
        &self,
        repo: &RepoId,
        cached: &Cached,
        not_asked: Option<HubError>,
    ) -> Result<Pulled, StoreError> {
        if let Some(error) = &not_asked {
            tracing::debug!(%error, "the cache answers alone");
        }
        let commit = cached.commit.clone();
        let path = match &cached.here {
            Here::Gguf(file) => file.clone(),
            _ => cached.path.clone(),
        };
        let model = self.model.clone();
        let stored = self.store.stored(model, repo, commit, path.clone()).await?;
        let looked = path.clone();
        Ok(Pulled {
            model: stored,
            bytes: blocking(move || Ok(files::weight_bytes(&looked).unwrap_or_default())).await?,
            path,
            received: 0,
            not_asked,
        })
    }
}

/// What the cache has of a revision.
struct Cached {
    commit: downloader::Commit,
    path: PathBuf,
    here: Here,
}

impl Cached {
    async fn look(store: &ModelStore, model: &NamedModel) -> Result<Option<Self>, StoreError> {
        let (repo, revision) = model.on_hub()?;
        let Some((commit, path)) = store.cached(repo, revision).await? else {
            return Ok(None);
        };
        let here = store.look(model, repo, &commit, &path).await?;
        Ok(Some(Self { commit, path, here }))
    }

    fn is_whole(&self) -> bool {
        matches!(self.here, Here::Folder | Here::Gguf(_))
    }
}

/// Why an offline store has no model.
fn not_here(model: &NamedModel, here: Option<&Here>) -> StoreError {
    let missing = match here {
        Some(Here::Several(files)) => {
            return StoreError::SeveralGguf {
                repo: model.to_string(),
                files: files.clone(),
            };
        }
        Some(Here::Lacks(missing)) => missing.clone(),
        _ => Vec::new(),
    };
    StoreError::NotHere {
        model: model.to_string(),
        missing,
    }
}

/// Whether the Hub gave no answer, as opposed to one that has to be heeded.
fn is_out_of_reach(error: &HubError) -> bool {
    matches!(error, HubError::Offline { .. } | HubError::Network { .. }) || error.is_retryable()
}

impl IntoFuture for Pull {
    type Output = Result<Pulled, StoreError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("model", &self.model)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}
