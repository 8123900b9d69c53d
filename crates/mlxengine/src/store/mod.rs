//! From a name to verified files on this machine.

mod builder;
mod description;
mod error;
mod files;
mod gguf;
mod name;
mod plan;
mod pull;
mod source;

use std::path::{Path, PathBuf};

use downloader::{Cache, Commit, Downloader, InUse, RepoFolder};
use hub_client::{HubClient, RepoId, Revision};
use registry::Registry;

pub use builder::ModelStoreBuilder;
pub use description::ModelDescription;
pub use error::StoreError;
pub use name::NamedModel;
pub use pull::{Pull, PullProgressStream, Pulled};

use crate::{InferenceEngine, ModelConfiguration};
use files::Here;

/// Models by name: what the registry knows, the Hub has, and the cache on this machine holds.
///
/// The cache is the one that other clients of the Hub use, so that each finds what the others
/// fetched. Its methods need a tokio runtime.
///
/// ```no_run
/// use mlxengine::{InferenceEngine, ModelStore};
///
/// # async fn example() -> Result<(), mlxengine::StoreError> {
/// let store = ModelStore::from_environment()?;
/// let engine = store.load("qwen3-0.6b").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ModelStore {
    registry: Registry,
    /// Tries again by itself.
    hub: HubClient,
    /// Fails at the first trouble, for where something else can be done.
    impatient_hub: HubClient,
    downloader: Downloader,
    cache: Cache,
}

/// A model on this machine, ready to be loaded.
///
/// While it lives, or an engine that was loaded from it, no clean-up of the cache touches it.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoredModel {
    /// How to load and run it; the path is part of it.
    pub configuration: ModelConfiguration,
    /// The commit, if it came from the Hub.
    pub commit: Option<String>,
    in_use: Option<InUse>,
}

impl From<ModelConfiguration> for StoredModel {
    fn from(configuration: ModelConfiguration) -> Self {
        Self {
            configuration,
            commit: None,
            in_use: None,
        }
    }
}

impl StoredModel {
    /// What lies at a path of this machine, with what its own files say of it. No store is needed.
    ///
    /// # Errors
    /// [`StoreError::BadFile`] if a configuration can't be read. A path with nothing at it is left
    /// for the load to complain about.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let named = ModelConfiguration::from_path(&path);
        if !path.join("config.json").is_file() {
            return Ok(named.into());
        }
        let model = NamedModel::Local {
            path: path.clone(),
            entry: None,
        };
        let entry = description::entry_of(&model, &path)?;
        let mut configuration = entry.configuration(path);
        configuration.name = named.name;
        Ok(configuration.into())
    }

    pub(crate) fn into_parts(self) -> (ModelConfiguration, Option<InUse>) {
        (self.configuration, self.in_use)
    }

    /// With a change to its configuration.
    #[must_use]
    pub fn configure(
        mut self,
        change: impl FnOnce(ModelConfiguration) -> ModelConfiguration,
    ) -> Self {
        self.configuration = change(self.configuration);
        self
    }
}

impl ModelStore {
    /// The store as the environment says: see [`ModelStoreBuilder::from_process`].
    ///
    /// # Errors
    /// What is wrong with the environment, the token's file or the user's list of models.
    pub fn from_environment() -> Result<Self, StoreError> {
        ModelStoreBuilder::from_process()?.build()
    }

    /// The known models.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The Hub's client, for what the store does not do: searching, accounts, cards.
    pub fn hub(&self) -> &HubClient {
        &self.hub
    }

    /// The cache on this machine: listing, verifying, deleting.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Finds out what a name means.
    ///
    /// # Errors
    /// As [`NamedModel::find`].
    pub fn find(&self, name: &str) -> Result<NamedModel, StoreError> {
        NamedModel::find(name, &self.registry)
    }

    /// Begins to fetch a model, or to bring it up to date: set what you need, then `.await`.
    ///
    /// Online, one request finds out what the revision stands for now; what is there and whole is
    /// not fetched again. Offline, and where the Hub can't be reached, the cache answers.
    ///
    /// # Errors
    /// When awaited: [`StoreError::Hub`], [`StoreError::Download`], [`StoreError::NoWeights`],
    /// [`StoreError::NotHere`], [`StoreError::Local`].
    pub fn pull(&self, model: NamedModel) -> Pull {
        Pull::new(self.clone(), model)
    }

    /// The model's files: those in the cache if they are whole, without asking anyone, and
    /// otherwise fetched.
    ///
    /// # Errors
    /// As [`ModelStore::pull`], and [`ModelStore::find`] for the name.
    pub async fn open(&self, name: &str) -> Result<StoredModel, StoreError> {
        let model = self.find(name)?;
        match self.open_cached(&model).await? {
            Some(stored) => Ok(stored),
            None => Ok(self.pull(model).await?.model),
        }
    }

    /// The model's files if they are on this machine and whole, without asking anyone.
    ///
    /// # Errors
    /// [`StoreError::BadFile`] if a configuration can't be read.
    pub async fn open_cached(&self, model: &NamedModel) -> Result<Option<StoredModel>, StoreError> {
        let (repo, revision) = match model {
            NamedModel::Local { path, entry } => {
                let path = path.clone();
                return match entry {
                    Some(entry) => Ok(Some(entry.configuration(path).into())),
                    None => blocking(move || StoredModel::at(path)).await.map(Some),
                };
            }
            NamedModel::Hub { repo, revision, .. } => (repo.clone(), revision.clone()),
        };
        let Some((commit, folder)) = self.cached(&repo, &revision).await? else {
            return Ok(None);
        };
        let place = match self.look(model, &repo, &commit, &folder).await? {
            Here::Folder => folder,
            Here::Gguf(file) => file,
            Here::Lacks(_) => return Ok(None),
            Here::Several(files) => {
                return Err(StoreError::SeveralGguf {
                    repo: repo.to_string(),
                    files,
                });
            }
        };
        self.stored(model.clone(), &repo, commit, place)
            .await
            .map(Some)
    }

    /// Fetches a model unless it is here, and loads it on the best backend of this machine.
    ///
    /// For progress, other backends and other settings see [`ModelStore::open`] and
    /// [`InferenceEngine::load`].
    ///
    /// # Errors
    /// As [`ModelStore::open`], and [`StoreError::Engine`].
    pub async fn load(&self, name: &str) -> Result<InferenceEngine, StoreError> {
        let model = self.open(name).await?;
        Ok(InferenceEngine::load(model).await?)
    }

    /// What is known about a model: from its files where they are here, else from the Hub, else
    /// from the registry.
    ///
    /// # Errors
    /// As [`ModelStore::find`]; [`StoreError::Hub`] where nobody but the Hub knows.
    pub async fn describe(&self, model: &NamedModel) -> Result<ModelDescription, StoreError> {
        description::describe(self, model).await
    }

    /// The commit and folder that the cache has for a revision.
    async fn cached(
        &self,
        repo: &RepoId,
        revision: &Revision,
    ) -> Result<Option<(Commit, PathBuf)>, StoreError> {
        let folder = RepoFolder::of_model(repo.as_str())?;
        let (cache, revision) = (self.cache.clone(), revision.clone());
        blocking(move || {
            let commit = cache.resolve(&folder, revision.as_str());
            Ok(commit.map(|commit| {
                let path = cache.snapshot(&folder, &commit);
                (commit, path)
            }))
        })
        .await
    }

    /// What a snapshot has of a model.
    async fn look(
        &self,
        model: &NamedModel,
        repo: &RepoId,
        commit: &Commit,
        folder: &Path,
    ) -> Result<Here, StoreError> {
        let name = RepoFolder::of_model(repo.as_str())?;
        let (cache, commit, folder) = (self.cache.clone(), commit.clone(), folder.to_path_buf());
        let wanted = model.gguf().map(str::to_owned);
        blocking(move || {
            let listing = cache.listing(&name, &commit);
            Ok(files::look(&folder, wanted.as_deref(), listing.as_ref()))
        })
        .await
    }

    /// A snapshot's folder, or a GGUF file in it, as a model to load.
    async fn stored(
        &self,
        model: NamedModel,
        repo: &RepoId,
        commit: Commit,
        place: PathBuf,
    ) -> Result<StoredModel, StoreError> {
        let name = RepoFolder::of_model(repo.as_str())?;
        let cache = self.cache.clone();
        blocking(move || {
            let in_use = cache.begin_use(&name, &commit);
            let entry = description::entry_of(&model, &place)?;
            Ok(StoredModel {
                configuration: entry.configuration(place),
                commit: Some(commit.to_string()),
                in_use: Some(in_use),
            })
        })
        .await
    }
}

/// Work that waits for the disk, where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Interrupted))
}
