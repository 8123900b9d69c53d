//! Setting a store up.

use std::path::{Path, PathBuf};

use downloader::{Cache, Downloader, DownloaderBuilder};
use hub_client::{Environment, HubClientBuilder, RetryPolicy, Token};
use registry::Registry;

use super::{ModelStore, StoreError};

/// Settings of a [`ModelStore`].
#[derive(Clone, Debug)]
#[must_use = "it is no store before it is built"]
pub struct ModelStoreBuilder {
    environment: Environment,
    token: Option<Token>,
    registry: Option<Registry>,
    list: Option<PathBuf>,
    retry: RetryPolicy,
    downloader: DownloaderBuilder,
}

impl ModelStoreBuilder {
    /// As this process's environment says.
    ///
    /// # Errors
    /// As [`ModelStoreBuilder::from_lookup`].
    pub fn from_process() -> Result<Self, StoreError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As the variables that `lookup` gives say: those of [`Environment`], and `MLXENGINE_MODELS`,
    /// the user's own list of models. Without that it is `mlxengine/models.toml` in
    /// `XDG_CONFIG_HOME` or `~/.config`, if that file is there.
    ///
    /// # Errors
    /// [`StoreError::Hub`] naming a variable that can't be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let environment = Environment::from_lookup(&lookup)?;
        let folder = |name: &str| {
            lookup(name)
                .filter(|text| !text.is_empty())
                .map(PathBuf::from)
        };
        let list = folder("MLXENGINE_MODELS").or_else(|| {
            let config =
                folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
            config
                .map(|config| config.join("mlxengine").join("models.toml"))
                .filter(|list| list.is_file())
        });
        Ok(Self {
            downloader: Downloader::builder(&environment.cache).symlinks(environment.symlinks),
            environment,
            token: None,
            registry: None,
            list,
            retry: RetryPolicy::default(),
        })
    }

    /// With this token instead of the environment's.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Whether to ask nobody, and let the cache answer alone.
    pub fn offline(mut self, offline: bool) -> Self {
        self.environment.offline = offline;
        self
    }

    /// With these models instead of the curated list and the user's.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// With this list of models on top of the curated one.
    pub fn list(mut self, path: &Path) -> Self {
        self.list = Some(path.to_path_buf());
        self
    }

    /// How patient to be with the Hub.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// With changes to how files are fetched.
    pub fn downloads(
        mut self,
        change: impl FnOnce(DownloaderBuilder) -> DownloaderBuilder,
    ) -> Self {
        self.downloader = change(self.downloader);
        self
    }

    /// Makes the store. Nothing is fetched or written yet.
    ///
    /// # Errors
    /// [`StoreError::Registry`] if the user's list can't be used, [`StoreError::Hub`] if the token's
    /// file can't be read, [`StoreError::Download`] if a setting is out of range.
    pub fn build(self) -> Result<ModelStore, StoreError> {
        let registry = if let Some(registry) = self.registry {
            registry
        } else {
            let mut registry = Registry::built_in()?;
            if let Some(list) = &self.list {
                registry.overlay(list)?;
            }
            registry
        };
        let token = match self.token {
            Some(token) => Some(token),
            None => token(&self.environment)?,
        };
        let hub = HubClientBuilder::from(&self.environment).maybe_token(token);
        Ok(ModelStore {
            registry,
            impatient_hub: hub.clone().retry(RetryPolicy::NEVER).build()?,
            hub: hub.retry(self.retry).build()?,
            downloader: self.downloader.build()?,
            cache: Cache::new(&self.environment.cache),
        })
    }
}

/// The environment's token, and where that has none, the keychain's.
fn token(environment: &Environment) -> Result<Option<Token>, StoreError> {
    let token = environment.read_token()?;
    #[cfg(feature = "keyring")]
    let token = token.or_else(|| keychain_token(environment));
    Ok(token)
}

/// A keychain that is locked or absent is no reason not to use public models.
#[cfg(feature = "keyring")]
fn keychain_token(environment: &Environment) -> Option<Token> {
    use hub_client::{Keychain, TokenSource};

    if !matches!(environment.token, TokenSource::File) || environment.offline {
        return None;
    }
    Keychain::new(&environment.endpoint)
        .read()
        .unwrap_or_else(|error| {
            tracing::debug!(%error, "no token from the keychain");
            None
        })
}
