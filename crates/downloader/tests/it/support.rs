//! What several tests need.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use downloader::{Downloader, DownloaderBuilder, Error, Plan, RepoFolder, Snapshot};
use hub_fault_server::{Content, FaultServer, Repo, Settings};
use tempfile::TempDir;

use crate::hub::Hub;

pub(crate) const ID: &str = "org/model";
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// A server and an empty cache.
pub(crate) struct Place {
    pub(crate) server: FaultServer,
    pub(crate) cache: TempDir,
}

impl Place {
    pub(crate) fn new(repo: Repo) -> Self {
        Self::with(Settings::default(), repo)
    }

    pub(crate) fn with(settings: Settings, repo: Repo) -> Self {
        Self {
            server: FaultServer::start_with(settings, [repo]).unwrap(),
            cache: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn hub(&self) -> Hub {
        Hub::new(self.server.url()).unwrap()
    }

    pub(crate) async fn plan(&self) -> Plan {
        self.hub().plan(ID).await.unwrap()
    }

    /// A downloader that does not wait long.
    pub(crate) fn builder(&self) -> DownloaderBuilder {
        builder(self.cache.path())
    }

    pub(crate) async fn fetch(&self) -> Result<Snapshot, Error> {
        fetch(&self.builder().build().unwrap(), self.plan().await).await
    }

    pub(crate) fn repo_folder(&self) -> PathBuf {
        let name = RepoFolder::of_model(ID).unwrap();
        self.cache.path().join(name.as_str())
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.repo_folder().join("blobs")
    }

    /// The names in the blobs' folder that are not finished blobs.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        names(&self.blobs())
            .into_iter()
            .filter(|name| name.contains('.'))
            .collect()
    }
}

pub(crate) fn builder(cache: &Path) -> DownloaderBuilder {
    Downloader::builder(cache)
        .delays(Duration::from_millis(1), Duration::from_millis(5))
        .stall_timeout(Duration::from_millis(500))
        .environment_proxies(false)
        .ramp(Duration::ZERO)
        .part_size(64 << 10)
}

pub(crate) async fn fetch(downloader: &Downloader, plan: Plan) -> Result<Snapshot, Error> {
    downloader.start(plan)?.await
}

/// A repository with small files and one that is fetched in several parts.
pub(crate) fn repo() -> Repo {
    Repo::new(ID)
        .file(
            "config.json",
            Content::bytes(*b"{\"model_type\": \"llama\"}"),
        )
        .file("nested/folder/notes.txt", Content::noise(3, 5_000))
        .file("empty.txt", Content::bytes([]))
        .lfs(WEIGHTS, weights())
}

pub(crate) fn weights() -> Content {
    Content::noise(1, 1_000_000)
}

/// The files of a folder, by their names.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .flatten()
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// That a snapshot has exactly the files of [`repo`], byte for byte.
#[track_caller]
pub(crate) fn assert_complete(snapshot: &Path) {
    for (path, content) in [
        (
            "config.json",
            Content::bytes(*b"{\"model_type\": \"llama\"}"),
        ),
        ("nested/folder/notes.txt", Content::noise(3, 5_000)),
        ("empty.txt", Content::bytes([])),
        (WEIGHTS, weights()),
    ] {
        assert_same(&snapshot.join(path), &content);
    }
}

#[track_caller]
pub(crate) fn assert_same(file: &Path, content: &Content) {
    let bytes = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert_eq!(bytes.len() as u64, content.length(), "{}", file.display());
    assert!(bytes == content.to_vec(), "{} differs", file.display());
}
