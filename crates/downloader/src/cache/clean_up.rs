//! Deleting from a cache: first a plan, then, if it is wanted, the deed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    CachedRepo, CachedRevision, RepoLayout,
    in_use::Exclusive,
    partial_owner_may_live,
    scan::{CacheContents, referenced},
};
use crate::{Error, RepoFolder};

/// What a clean-up would delete. Nothing happens until [`CleanUp::execute`].
#[derive(Debug, Clone, Default)]
#[must_use = "a plan alone deletes nothing"]
pub struct CleanUp {
    cache: PathBuf,
    removals: Vec<Removal>,
}

/// One thing to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// The repository it belongs to.
    pub repo: RepoFolder,
    /// What it is.
    pub kind: RemovalKind,
    /// The file or folder.
    pub path: PathBuf,
    /// Bytes that this frees.
    pub bytes: u64,
}

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RemovalKind {
    /// A branch or tag.
    Reference,
    /// A file of a snapshot.
    SnapshotFile,
    /// The folder of one commit.
    Revision,
    /// A note of the files of a commit.
    Note,
    /// A content that nothing shows any more.
    Blob,
    /// An unfinished download.
    Unfinished,
    /// What remains of a repository's folder.
    Repo,
}

/// What a clean-up did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CleanUpReport {
    /// Bytes that were freed.
    pub bytes: u64,
    /// What was deleted.
    pub removed: Vec<PathBuf>,
    /// Repositories that were left alone, each with the reason.
    pub skipped: Vec<(RepoFolder, Error)>,
}

impl CleanUp {
    pub(crate) fn new(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
            removals: Vec::new(),
        }
    }

    /// What would be deleted, in order.
    pub fn removals(&self) -> &[Removal] {
        &self.removals
    }

    /// Bytes that it would free.
    pub fn bytes(&self) -> u64 {
        self.removals.iter().map(|removal| removal.bytes).sum()
    }

    /// Whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.removals.is_empty()
    }

    /// Deletes. A repository in use is left alone, and so is what comes after an error in it.
    pub fn execute(self) -> CleanUpReport {
        let mut report = CleanUpReport::default();
        let mut by_repo: BTreeMap<RepoFolder, Vec<Removal>> = BTreeMap::new();
        for removal in self.removals {
            by_repo
                .entry(removal.repo.clone())
                .or_default()
                .push(removal);
        }
        for (repo, mut removals) in by_repo {
            // What makes content visible goes before the content.
            removals.sort_by_key(|removal| removal.kind);
            let layout = RepoLayout::new(&self.cache, &repo);
            if let Err(error) = remove_all(&layout, removals, &mut report) {
                report.skipped.push((repo, error));
            }
        }
        report
    }

    fn push(&mut self, repo: &CachedRepo, kind: RemovalKind, path: &Path, bytes: u64) {
        if self.removals.iter().all(|removal| removal.path != path) {
            self.removals.push(Removal {
                repo: repo.name.clone(),
                kind,
                path: path.to_owned(),
                bytes,
            });
        }
    }

    /// Everything of a repository.
    pub(crate) fn add_repo(&mut self, repo: &CachedRepo) {
        let layout = RepoLayout::new(&self.cache, &repo.name);
        self.add_revisions(repo, &repo.revisions.iter().collect::<Vec<_>>());
        self.add_blobs(repo, repo.blobs.keys().map(PathBuf::as_path));
        for (path, bytes) in &repo.unfinished {
            self.push(repo, RemovalKind::Unfinished, path, *bytes);
        }
        self.push(repo, RemovalKind::Repo, &layout.root, 0);
    }

    /// Some commits of a repository, and the contents that only they show.
    pub(crate) fn add_revisions(&mut self, repo: &CachedRepo, revisions: &[&CachedRevision]) {
        let layout = RepoLayout::new(&self.cache, &repo.name);
        let going: BTreeSet<_> = revisions.iter().map(|revision| &revision.commit).collect();
        for revision in revisions {
            for name in &revision.refs {
                self.push(repo, RemovalKind::Reference, &layout.reference(name), 0);
            }
            let copies = revision.files.iter().filter(|file| file.blob.is_none());
            let bytes = copies.map(|file| file.size).sum();
            self.push(repo, RemovalKind::Revision, &revision.path, bytes);
            let listing = layout.listing(&revision.commit);
            // The accounts of a cache do not count notes, so deleting them frees nothing either.
            if listing.is_file() {
                self.push(repo, RemovalKind::Note, &listing, 0);
            }
            let absences = layout.absences(&revision.commit);
            if absences.is_dir() {
                self.push(repo, RemovalKind::Revision, &absences, 0);
            }
        }
        let staying: Vec<CachedRevision> = repo
            .revisions
            .iter()
            .filter(|revision| !going.contains(&revision.commit))
            .cloned()
            .collect();
        let kept = referenced(&staying);
        let shown: Vec<&Path> = revisions
            .iter()
            .flat_map(|revision| &revision.files)
            .filter_map(|file| file.blob.as_deref())
            .filter(|blob| !kept.contains(blob))
            .collect();
        self.add_blobs(repo, shown);
    }

    /// Contents of a repository. Anything outside its own folder is left alone.
    pub(crate) fn add_blobs<'a>(
        &mut self,
        repo: &CachedRepo,
        blobs: impl IntoIterator<Item = &'a Path>,
    ) {
        for path in blobs {
            if let Some(blob) = repo.blobs.get(path) {
                self.push(repo, RemovalKind::Blob, path, blob.bytes);
            }
        }
    }

    /// A damaged content and the links that show it.
    pub(crate) fn add_damaged(
        &mut self,
        repo: &CachedRepo,
        revision: &CachedRevision,
        path: &Path,
    ) {
        let Some(file) = revision.files.iter().find(|file| file.path == path) else {
            return;
        };
        match &file.blob {
            None => {
                let copy = revision.path.join(path);
                self.push(repo, RemovalKind::SnapshotFile, &copy, file.size);
            }
            Some(blob) => {
                for revision in &repo.revisions {
                    for file in revision
                        .files
                        .iter()
                        .filter(|f| f.blob.as_ref() == Some(blob))
                    {
                        let link = revision.path.join(&file.path);
                        self.push(repo, RemovalKind::SnapshotFile, &link, 0);
                    }
                }
                self.add_blobs(repo, [blob.as_path()]);
            }
        }
    }

    /// What nothing refers to: commits without a branch, contents without a snapshot, and unfinished
    /// downloads that nobody has touched for `age`.
    pub(crate) fn add_unreferenced(&mut self, repo: &CachedRepo, age: Duration) {
        let detached: Vec<_> = repo
            .revisions
            .iter()
            .filter(|revision| revision.refs.is_empty())
            .collect();
        let is_whole = repo
            .revisions
            .iter()
            .any(|revision| !revision.refs.is_empty());
        // A repository with no branch at all was fetched by its commit: that is a reference too.
        if is_whole {
            self.add_revisions(repo, &detached);
        }
        let shown = referenced(&repo.revisions);
        let orphans = repo.blobs.keys().map(PathBuf::as_path);
        self.add_blobs(repo, orphans.filter(|blob| !shown.contains(blob)));
        for (path, bytes) in &repo.unfinished {
            if !partial_owner_may_live(path) && is_older(path, age) {
                self.push(repo, RemovalKind::Unfinished, path, *bytes);
            }
        }
    }

    /// The repositories used least recently, until no more than `limit` bytes remain.
    pub(crate) fn add_least_recent(
        &mut self,
        contents: &CacheContents,
        limit: u64,
        keep: &[RepoFolder],
    ) {
        let mut repos: Vec<&CachedRepo> = contents
            .repos
            .iter()
            .filter(|repo| !keep.contains(&repo.name))
            .collect();
        repos.sort_by_key(|repo| repo.last_used);
        for repo in repos {
            if contents.bytes().saturating_sub(self.bytes()) <= limit {
                break;
            }
            let layout = RepoLayout::new(&self.cache, &repo.name);
            if let Err(e) = Exclusive::take(&layout) {
                tracing::debug!(repo = %repo.name, error = %e, "kept");
                continue;
            }
            self.add_repo(repo);
        }
    }
}

fn remove_all(
    layout: &RepoLayout,
    removals: Vec<Removal>,
    report: &mut CleanUpReport,
) -> Result<(), Error> {
    let _exclusive = Exclusive::take(layout)?;
    for removal in removals {
        let removed = match removal.kind {
            RemovalKind::Revision | RemovalKind::Repo => fs::remove_dir_all(&removal.path),
            _ => fs::remove_file(&removal.path),
        };
        match removed {
            Ok(()) => {
                report.bytes += removal.bytes;
                report.removed.push(removal.path);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("delete", &removal.path, e)),
        }
    }
    Ok(())
}

fn is_older(path: &Path, age: Duration) -> bool {
    let touched = fs::symlink_metadata(path).and_then(|about| about.modified());
    age.is_zero() || touched.is_ok_and(|then| then.elapsed().is_ok_and(|passed| passed >= age))
}
