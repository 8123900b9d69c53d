//! Looking after a cache: listing, checking, deleting.

use std::{
    fs::{self, File, FileTimes},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    CacheContents, CachedRepo, CachedRevision, CleanUp, InUse, RepoLayout, Verification, scan,
    verify,
};
use crate::{Commit, Error, Listing, RefName, RepoFolder};

/// A Hugging Face cache on disk. Its methods wait for the disk, so call them where that is fine.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache in a folder, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Everything that is there, with sizes and times. What does not fit the layout becomes a warning.
    pub fn contents(&self) -> CacheContents {
        scan::scan(&self.root)
    }

    /// The commit that a branch or tag, or the commit itself, stands for in this cache.
    pub fn resolve(&self, repo: &RepoFolder, revision: &str) -> Option<Commit> {
        let layout = RepoLayout::new(&self.root, repo);
        Commit::new(revision)
            .ok()
            .or_else(|| layout.read_ref(&RefName::new(revision).ok()?))
            .filter(|commit| layout.snapshot(commit).is_dir())
    }

    /// The folder with the files of a commit, whether it is there or not.
    pub fn snapshot(&self, repo: &RepoFolder, commit: &Commit) -> PathBuf {
        RepoLayout::new(&self.root, repo).snapshot(commit)
    }

    /// All files of a commit, where this or Python's client has noted them.
    ///
    /// `None` as well if the note can't be right in itself. What it says is not checked against the
    /// files.
    pub fn listing(&self, repo: &RepoFolder, commit: &Commit) -> Option<Listing> {
        RepoLayout::new(&self.root, repo).read_listing(commit)
    }

    /// Begins to use a model: no clean-up touches it while what is returned lives, and it counts as
    /// just used.
    pub fn begin_use(&self, repo: &RepoFolder, commit: &Commit) -> InUse {
        let layout = RepoLayout::new(&self.root, repo);
        let in_use = InUse::begin(&layout);
        mark_used(&layout, commit);
        in_use
    }

    /// Computes the digest of every file of a commit and compares it with the one it should have.
    ///
    /// `progress` is told how many bytes have been read since the last call.
    ///
    /// # Errors
    ///
    /// [`Error::NotCached`] if the commit is not there.
    pub fn verify(
        &self,
        repo: &RepoFolder,
        commit: &Commit,
        progress: impl FnMut(u64),
    ) -> Result<Verification, Error> {
        let contents = self.contents();
        let (repo, revision) = find(&contents, repo, commit)?;
        let layout = RepoLayout::new(&self.root, &repo.name);
        Ok(verify::verify(&layout, repo, revision, progress))
    }

    /// A plan that deletes a repository.
    ///
    /// # Errors
    ///
    /// [`Error::NotCached`] if it is not there.
    pub fn plan_delete(&self, repo: &RepoFolder) -> Result<CleanUp, Error> {
        let contents = self.contents();
        let mut plan = CleanUp::new(&self.root);
        plan.add_repo(contents.repo(repo).ok_or_else(|| Error::NotCached {
            repo: repo.clone(),
            what: "any file".to_owned(),
        })?);
        Ok(plan)
    }

    /// A plan that deletes one commit, with what no other commit of the repository shows.
    ///
    /// # Errors
    ///
    /// [`Error::NotCached`] if it is not there.
    pub fn plan_delete_revision(
        &self,
        repo: &RepoFolder,
        commit: &Commit,
    ) -> Result<CleanUp, Error> {
        let contents = self.contents();
        let (repo, revision) = find(&contents, repo, commit)?;
        let mut plan = CleanUp::new(&self.root);
        if repo.revisions.len() == 1 {
            plan.add_repo(repo);
        } else {
            plan.add_revisions(repo, &[revision]);
        }
        Ok(plan)
    }

    /// A plan that deletes what nothing refers to: commits that no branch points at any more, contents
    /// that no snapshot shows, and unfinished downloads that nobody has touched for `age`.
    ///
    /// The store that Python's client shares between repositories is left to that client.
    pub fn plan_prune(&self, age: Duration) -> CleanUp {
        let mut plan = CleanUp::new(&self.root);
        for repo in &self.contents().repos {
            plan.add_unreferenced(repo, age);
        }
        plan
    }

    /// A plan that brings the cache to a size: first as [`Cache::plan_prune`], then whole
    /// repositories, the one used least recently first. Those in use and those of `keep` stay.
    pub fn plan_limit(&self, bytes: u64, age: Duration, keep: &[RepoFolder]) -> CleanUp {
        let contents = self.contents();
        let mut plan = CleanUp::new(&self.root);
        if contents.bytes() <= bytes {
            return plan;
        }
        for repo in &contents.repos {
            plan.add_unreferenced(repo, age);
        }
        plan.add_least_recent(&contents, bytes, keep);
        plan
    }
}

fn find<'a>(
    contents: &'a CacheContents,
    repo: &RepoFolder,
    commit: &Commit,
) -> Result<(&'a CachedRepo, &'a CachedRevision), Error> {
    contents
        .repo(repo)
        .and_then(|repo| {
            let mut revisions = repo.revisions.iter();
            let revision = revisions.find(|revision| revision.commit == *commit)?;
            Some((repo, revision))
        })
        .ok_or_else(|| Error::NotCached {
            repo: repo.clone(),
            what: format!("revision {commit}"),
        })
}

/// Notes on the files of a commit that they were used just now.
///
/// Many file systems do not do that by themselves. Best effort: the files may be another user's.
pub(crate) fn mark_used(layout: &RepoLayout, commit: &Commit) {
    let now = FileTimes::new().set_accessed(SystemTime::now());
    let mut folders = vec![layout.snapshot(commit)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if let Ok(file) = File::open(entry.path()) {
                let _ = file.set_times(now);
            }
        }
    }
}
