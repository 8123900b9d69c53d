//! What the Hub knows about a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    BlobId, CardData, CommitHash, HubClient, HubError, RepoId, RepoPath, Revision,
    endpoint::encoded,
    http::{Call, Subject},
};

/// What the Hub says about a model. Which fields are there depends on what was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[non_exhaustive]
pub struct ModelInfo {
    /// Its name, which after a renaming is not the one that was asked for.
    pub id: RepoId,
    /// The commit that the revision stands for.
    #[serde(default)]
    pub sha: Option<CommitHash>,
    /// Its owner.
    #[serde(default)]
    pub author: Option<String>,
    /// When it was changed, in ISO 8601.
    #[serde(default)]
    pub last_modified: Option<String>,
    /// When it was made, in ISO 8601.
    #[serde(default)]
    pub created_at: Option<String>,
    /// Whether only some may see it.
    #[serde(default)]
    pub private: bool,
    /// Whether one has to ask for access.
    #[serde(default)]
    pub gated: Gated,
    /// Whether the Hub has closed it.
    #[serde(default)]
    pub disabled: bool,
    /// Downloads in the last 30 days.
    #[serde(default)]
    pub downloads: Option<u64>,
    /// Likes.
    #[serde(default)]
    pub likes: Option<u64>,
    /// Tags: libraries, languages, licences and more.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it is for: `text-generation`.
    #[serde(default, alias = "pipeline_tag")]
    pub pipeline_tag: Option<String>,
    /// What it is made for: `mlx`.
    #[serde(default, alias = "library_name")]
    pub library_name: Option<String>,
    /// Its files.
    #[serde(default, rename(deserialize = "siblings"))]
    pub files: Vec<ModelFile>,
    /// Parameters by data type, where the weights are safetensors.
    #[serde(default)]
    pub safetensors: Option<ParameterCounts>,
    /// The front matter of its card.
    #[serde(default)]
    pub card_data: Option<CardData>,
    /// Parts of its `config.json`.
    #[serde(default)]
    pub config: Option<Value>,
    /// Bytes that all its revisions take on the Hub.
    #[serde(default)]
    pub used_storage: Option<u64>,
}

impl ModelInfo {
    /// Bytes of all files; `None` if one of them has no size.
    pub fn total_size(&self) -> Option<u64> {
        self.files
            .iter()
            .try_fold(0_u64, |sum, file| sum.checked_add(file.size?))
    }
}

/// Whether one has to ask for access, and who grants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Gated {
    /// Open to all.
    #[default]
    No,
    /// Granted as soon as one asks.
    Auto,
    /// Granted by a person.
    Manual,
    /// In a way that this version does not know.
    Other,
}

impl From<Value> for Gated {
    fn from(value: Value) -> Self {
        match &value {
            Value::Bool(false) | Value::Null => Self::No,
            Value::String(text) if text == "auto" => Self::Auto,
            Value::String(text) if text == "manual" => Self::Manual,
            _ => Self::Other,
        }
    }
}

/// Parameters of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterCounts {
    /// By data type: `BF16`, `U32`. Packed weights count as the numbers they are packed into.
    #[serde(default)]
    pub parameters: BTreeMap<String, u64>,
    /// All together.
    #[serde(default)]
    pub total: Option<u64>,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RawFile")]
#[non_exhaustive]
pub struct ModelFile {
    /// Where it lies in the repository.
    pub path: RepoPath,
    /// Its size in bytes, if it was asked for.
    pub size: Option<u64>,
    /// What identifies its content. `None` if it was not asked for, or is masked, as it is for
    /// those who have no access yet.
    pub blob: Option<BlobId>,
    /// Git's hash of what git itself holds: the content, or for a large file the pointer to it.
    pub git: Option<BlobId>,
    /// Whether it lies in large-file storage.
    pub lfs: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    rfilename: RepoPath,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<RawLfs>,
}

/// Large-file storage, which lists of files and trees write with different keys.
#[derive(Deserialize)]
pub(crate) struct RawLfs {
    #[serde(alias = "oid")]
    sha256: Option<String>,
    size: Option<u64>,
}

impl From<RawFile> for ModelFile {
    fn from(raw: RawFile) -> Self {
        Self::new(raw.rfilename, raw.size, raw.blob_id, raw.lfs)
    }
}

impl ModelFile {
    pub(crate) fn new(
        path: RepoPath,
        size: Option<u64>,
        git: Option<String>,
        lfs: Option<RawLfs>,
    ) -> Self {
        let is_lfs = lfs.is_some();
        // Masked with asterisks: only hashes are taken from a list.
        let known = |hash: Option<String>| {
            hash.map(BlobId::new)
                .filter(|blob| blob.file_name().is_some())
        };
        let git = known(git);
        // Git's hash of such a file is that of the pointer in its place, not of its content.
        let (blob, size) = match lfs {
            Some(lfs) => (known(lfs.sha256), lfs.size.or(size)),
            None => (git.clone(), size),
        };
        Self {
            path,
            size,
            blob,
            git,
            lfs: is_lfs,
        }
    }
}

impl HubClient {
    /// A model at a revision, with sizes and hashes of its files.
    ///
    /// # Errors
    /// [`HubError::RepositoryNotFound`], [`HubError::RevisionNotFound`], [`HubError::Gated`],
    /// [`HubError::InvalidToken`], [`HubError::Disabled`], and what any request may say.
    pub async fn model_info(
        &self,
        repo: &RepoId,
        revision: &Revision,
    ) -> Result<ModelInfo, HubError> {
        let tail = format!("/revision/{}", encoded(revision.as_str()));
        let mut url = self.endpoint().model(repo, &tail)?;
        url.query_pairs_mut().append_pair("blobs", "true");
        let subject = Subject::new(format!("read about {repo}"))
            .of_repo(repo)
            .at(revision);
        self.json(&Call::get(url, subject)).await
    }
}
