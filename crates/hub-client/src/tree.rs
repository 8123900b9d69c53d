//! The files of a revision.

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use crate::{
    HubClient, HubError, ModelFile, RepoId, RepoPath, Revision,
    endpoint::encoded,
    http::{Call, Subject},
    model_info::RawLfs,
    pages,
};

/// An entry of a repository's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", from = "RawEntry")]
#[non_exhaustive]
pub enum TreeEntry {
    /// A file.
    File(ModelFile),
    /// A folder.
    Folder {
        /// Where it lies in the repository.
        path: RepoPath,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum RawEntry {
    File {
        path: RepoPath,
        oid: Option<String>,
        size: Option<u64>,
        lfs: Option<RawLfs>,
    },
    Directory {
        path: RepoPath,
    },
}

impl From<RawEntry> for TreeEntry {
    fn from(raw: RawEntry) -> Self {
        match raw {
            RawEntry::File {
                path,
                oid,
                size,
                lfs,
            } => Self::File(ModelFile::new(path, size, oid, lfs)),
            RawEntry::Directory { path } => Self::Folder { path },
        }
    }
}

/// How much of a tree is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Depth {
    /// The folder's own entries.
    Flat,
    /// Those of all folders below too.
    #[default]
    Recursive,
}

impl HubClient {
    /// The tree of a revision in pages of up to 1000 entries: all of it, or what lies in `folder`.
    ///
    /// # Errors
    /// In the stream, as [`HubClient::model_info`].
    pub fn tree(
        &self,
        repo: &RepoId,
        revision: &Revision,
        folder: Option<&RepoPath>,
        depth: Depth,
    ) -> BoxStream<'static, Result<Vec<TreeEntry>, HubError>> {
        let mut tail = format!("/tree/{}", encoded(revision.as_str()));
        if let Some(folder) = folder {
            tail.push('/');
            tail.push_str(&encoded(folder.as_str()));
        }
        let first = self.endpoint().model(repo, &tail).map(|mut url| {
            let recursive = (depth == Depth::Recursive).to_string();
            url.query_pairs_mut().append_pair("recursive", &recursive);
            let subject = Subject::new(format!("list the files of {repo}"))
                .of_repo(repo)
                .at(revision);
            Call::get(url, subject)
        });
        pages::stream(self.clone(), first, None)
    }

    /// All files of a revision, with sizes and hashes.
    ///
    /// # Errors
    /// As [`HubClient::model_info`].
    pub async fn files(
        &self,
        repo: &RepoId,
        revision: &Revision,
    ) -> Result<Vec<ModelFile>, HubError> {
        let pages = self.tree(repo, revision, None, Depth::Recursive);
        let files = |page: Vec<TreeEntry>| {
            page.into_iter().filter_map(|entry| match entry {
                TreeEntry::File(file) => Some(file),
                TreeEntry::Folder { .. } => None,
            })
        };
        pages
            .map(|page| page.map(|page| files(page).collect::<Vec<_>>()))
            .try_concat()
            .await
    }
}
