//! From what the Hub says of a model to what is to be fetched.

use std::sync::Arc;

use downloader::{
    Commit, Digest, FilePath, ListedFile, Listing, Plan, PlannedFile, RefName, RepoFolder,
    Selection,
};
use hub_client::{BlobId, CommitHash, HubClient, HubError, ModelFile, ModelInfo, RepoId, Revision};

use super::{
    StoreError,
    gguf::{self, Choice},
    source::HubSource,
};

/// The files of a commit that a selection wants.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) commit: Commit,
    pub(super) plan: Plan,
    /// The GGUF file that is the model, where it is one.
    pub(super) gguf: Option<FilePath>,
}

/// Which files are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Files<'a> {
    /// What an engine needs: of several GGUF files the one that is named so.
    Model { gguf: Option<&'a str> },
    /// These, whatever they are.
    Chosen(&'a Selection),
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
    which: Files<'_>,
) -> Result<Wanted, StoreError> {
    let sha = commit_of(hub, revision, info)?;
    let at = Revision::from(sha.clone());
    let model = Selection::model()?;
    let (selection, gguf) = match which {
        Files::Chosen(selection) => (selection, None),
        Files::Model { gguf } => (&model, chosen_gguf(asked, info, &model, gguf)?),
    };
    let mut files = Vec::new();
    for file in &info.files {
        let path = FilePath::new(file.path.as_str())?;
        let is_wanted = match &gguf {
            Some(gguf) => path == *gguf,
            None => selection.wants(&path),
        };
        if is_wanted {
            files.push(planned(hub, &info.id, &at, file, path));
        }
    }
    // Small files come first, so that a model can be described before its weights are there.
    files.sort_by_key(PlannedFile::size);
    let commit = Commit::new(sha.as_str())?;
    // Under the name that was asked for, by which every client looks for it.
    let mut plan = Plan::new(RepoFolder::of_model(asked.as_str())?, commit.clone(), files)
        .map_err(downloader::Error::from)?;
    if let Some(listing) = listing(info)? {
        plan = plan.with_listing(listing);
    }
    if revision.as_commit().is_none() {
        plan = plan.with_ref(RefName::new(revision.as_str())?);
    }
    Ok(Wanted { commit, plan, gguf })
}

/// The GGUF file that is the model; `None` if the model is safetensors.
fn chosen_gguf(
    asked: &RepoId,
    info: &ModelInfo,
    model: &Selection,
    wanted: Option<&str>,
) -> Result<Option<FilePath>, StoreError> {
    let paths = || info.files.iter().map(|file| file.path.as_str());
    let mut has_safetensors = false;
    for path in paths().filter(|path| path.ends_with(".safetensors")) {
        has_safetensors |= model.wants(&FilePath::new(path)?);
    }
    if wanted.is_none() && has_safetensors {
        return Ok(None);
    }
    let repo = asked.to_string();
    match (gguf::choose(paths(), wanted), wanted) {
        (Choice::One(path), _) => Ok(Some(FilePath::new(path)?)),
        (Choice::Several(files), _) => Err(StoreError::SeveralGguf {
            repo,
            files: files.into_iter().map(str::to_owned).collect(),
        }),
        (Choice::None, Some(wanted)) => Err(StoreError::NoGguf {
            repo,
            wanted: wanted.to_owned(),
            found: paths()
                .filter(|path| gguf::is_gguf(path))
                .map(str::to_owned)
                .collect(),
        }),
        (Choice::None, None) => Err(no_weights(asked, info, model)?),
    }
}

/// All files as the cache notes them; `None` if a size or a hash is not known, as where it is masked.
fn listing(info: &ModelInfo) -> Result<Option<Listing>, StoreError> {
    let digest = |blob: &Option<BlobId>| Digest::from_hex(blob.as_ref()?.file_name()?);
    let mut listing = Listing::default();
    for file in &info.files {
        let (Some(size), Some(Digest::GitSha1(git))) = (file.size, digest(&file.git)) else {
            return Ok(None);
        };
        let mut listed = ListedFile::new(size, git);
        if file.lfs {
            let Some(Digest::Sha256(sha256)) = digest(&file.blob) else {
                return Ok(None);
            };
            listed = listed.in_large_file_storage(sha256);
        }
        listing.insert(FilePath::new(file.path.as_str())?, listed);
    }
    Ok(Some(listing))
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
        if gguf::is_gguf(file.path.as_str()) || selection.is_pickle(&path) {
            found.push(file.path.to_string());
        }
    }
    Ok(StoreError::NoWeights {
        repo: repo.to_string(),
        found,
    })
}
