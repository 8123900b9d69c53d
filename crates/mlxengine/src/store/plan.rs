//! From what the Hub says of a model to what is to be fetched.

use std::sync::Arc;

use downloader::{Commit, Digest, FilePath, Plan, PlannedFile, RefName, RepoFolder, Selection};
use hub_client::{CommitHash, HubClient, HubError, ModelFile, ModelInfo, RepoId, Revision};

use super::{StoreError, error::is_gguf, source::HubSource};

/// The files of a commit that a selection wants.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) commit: Commit,
    pub(super) plan: Plan,
}

/// Makes the plan for a model, as `info` describes it at `revision`.
///
/// # Errors
/// [`StoreError::NoWeights`] if a model is wanted and has none that can be read.
pub(super) fn wanted(
    hub: &HubClient,
    asked: &RepoId,
    revision: &Revision,
    info: &ModelInfo,
    selection: &Selection,
    as_model: bool,
) -> Result<Wanted, StoreError> {
    let sha = commit_of(hub, revision, info)?;
    let at = Revision::from(sha.clone());
    let mut files = Vec::new();
    for file in &info.files {
        let path = FilePath::new(file.path.as_str())?;
        if selection.wants(&path) {
            files.push(planned(hub, &info.id, &at, file, path));
        }
    }
    let has_weights = files
        .iter()
        .any(|file| file.path().as_str().ends_with(".safetensors"));
    if as_model && !has_weights {
        return Err(no_weights(asked, info, selection)?);
    }
    // Small files come first, so that a model can be described before its weights are there.
    files.sort_by_key(PlannedFile::size);
    let commit = Commit::new(sha.as_str())?;
    // Under the name that was asked for, by which every client looks for it.
    let mut plan = Plan::new(RepoFolder::of_model(asked.as_str())?, commit.clone(), files)
        .map_err(downloader::Error::from)?;
    if revision.as_commit().is_none() {
        plan = plan.with_ref(RefName::new(revision.as_str())?);
    }
    Ok(Wanted { commit, plan })
}

fn commit_of(
    hub: &HubClient,
    revision: &Revision,
    info: &ModelInfo,
) -> Result<CommitHash, StoreError> {
    info.sha
        .clone()
        .or_else(|| revision.as_commit())
        .ok_or_else(|| {
            StoreError::Hub(HubError::Decode {
                operation: format!("find {} on {}", info.id, hub.endpoint()),
                reason: "it names no commit".to_owned(),
            })
        })
}

fn planned(
    hub: &HubClient,
    repo: &RepoId,
    commit: &Revision,
    file: &ModelFile,
    path: FilePath,
) -> PlannedFile {
    let source = HubSource {
        hub: hub.clone(),
        repo: repo.clone(),
        commit: commit.clone(),
        path: file.path.clone(),
    };
    let mut planned = PlannedFile::new(path, Arc::new(source));
    if let Some(size) = file.size {
        planned = planned.with_size(size);
    }
    let digest = file.blob.as_ref().and_then(|blob| blob.file_name());
    if let Some(digest) = digest.and_then(Digest::from_hex) {
        planned = planned.with_digest(digest);
    }
    planned
}

fn no_weights(
    repo: &RepoId,
    info: &ModelInfo,
    selection: &Selection,
) -> Result<StoreError, StoreError> {
    let mut found = Vec::new();
    for file in &info.files {
        let path = FilePath::new(file.path.as_str())?;
        if is_gguf(file.path.as_str()) || selection.is_pickle(&path) {
            found.push(file.path.to_string());
        }
    }
    Ok(StoreError::NoWeights {
        repo: repo.to_string(),
        found,
    })
}
