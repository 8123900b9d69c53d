//! What a cache has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{RepoLayout, layout::TEMPORARY_SUFFIX};
use crate::{Commit, RefName, RepoFolder};

/// Marks the folder in which Python's client keeps blobs that several repositories share.
const SHARED_STORE_MARKER: &str = ".huggingface-shared-blobs";

/// Everything in a cache.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CacheContents {
    /// The repositories, by name.
    pub repos: Vec<CachedRepo>,
    /// What does not fit the layout, and is left alone.
    pub warnings: Vec<CacheWarning>,
}

impl CacheContents {
    /// Bytes on disk, over all repositories.
    pub fn bytes(&self) -> u64 {
        self.repos.iter().map(CachedRepo::bytes).sum()
    }

    /// One repository.
    pub fn repo(&self, name: &RepoFolder) -> Option<&CachedRepo> {
        self.repos.iter().find(|repo| repo.name == *name)
    }
}

/// A repository in a cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedRepo {
    /// Its name.
    pub name: RepoFolder,
    /// Its commits.
    pub revisions: Vec<CachedRevision>,
    /// When one of its files was last used, as far as the file system knows.
    pub last_used: Option<SystemTime>,
    /// When one of its files was last written.
    pub last_modified: Option<SystemTime>,
    /// The contents, by name.
    pub(crate) blobs: BTreeMap<PathBuf, Blob>,
    /// Unfinished downloads and what belongs to them.
    pub(crate) unfinished: BTreeMap<PathBuf, u64>,
}

impl CachedRepo {
    /// Bytes on disk: each content once, copies and unfinished downloads included. What lies in the
    /// store that repositories share does not count.
    pub fn bytes(&self) -> u64 {
        let copies: u64 = self
            .revisions
            .iter()
            .map(CachedRevision::copied_bytes)
            .sum();
        let blobs: u64 = self.blobs.values().map(|blob| blob.bytes).sum();
        copies + blobs + self.unfinished_bytes()
    }

    /// Bytes on disk of unfinished downloads.
    pub fn unfinished_bytes(&self) -> u64 {
        self.unfinished.values().sum()
    }
}

/// A commit in a cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedRevision {
    /// The commit.
    pub commit: Commit,
    /// The branches and tags that point at it.
    pub refs: Vec<RefName>,
    /// Its folder.
    pub path: PathBuf,
    /// Its files.
    pub files: Vec<CachedFile>,
}

impl CachedRevision {
    /// Bytes of all files, as they appear.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn copied_bytes(&self) -> u64 {
        let copies = self.files.iter().filter(|file| file.blob.is_none());
        copies.map(|file| file.size).sum()
    }
}

/// A file in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedFile {
    /// Its path inside the snapshot.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The blob that it links to, or is another name for; `None` if it is a file of its own.
    pub blob: Option<PathBuf>,
}

/// Something that does not fit the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheWarning {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A finished content.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    /// Bytes that deleting it frees: none for a link into the shared store.
    pub(crate) bytes: u64,
}

pub(crate) fn scan(cache: &Path) -> CacheContents {
    let mut contents = CacheContents::default();
    for (path, name) in entries(cache) {
        let is_shared_store = name == "blobs" && path.join(SHARED_STORE_MARKER).exists();
        if is_shared_store || matches!(name.as_str(), ".locks" | "CACHEDIR.TAG" | ".DS_Store") {
            continue;
        }
        match RepoFolder::new(&name) {
            Ok(repo) if path.is_dir() => {
                let layout = RepoLayout::new(cache, &repo);
                let scanned = scan_repo(&layout, &mut contents.warnings);
                contents.repos.push(scanned);
            }
            Ok(_) => contents.warn(path, "it is not a folder"),
            Err(e) => contents.warn(path, e.reason),
        }
    }
    contents.repos.sort_by(|a, b| a.name.cmp(&b.name));
    contents
}

impl CacheContents {
    fn warn(&mut self, path: PathBuf, reason: &str) {
        self.warnings.push(CacheWarning {
            path,
            reason: reason.to_owned(),
        });
    }
}

fn scan_repo(layout: &RepoLayout, warnings: &mut Vec<CacheWarning>) -> CachedRepo {
    let mut warn = |path: &Path, reason: &str| {
        warnings.push(CacheWarning {
            path: path.to_owned(),
            reason: reason.to_owned(),
        });
    };
    let mut repo = CachedRepo {
        name: layout.name.clone(),
        revisions: Vec::new(),
        last_used: None,
        last_modified: None,
        blobs: BTreeMap::new(),
        unfinished: BTreeMap::new(),
    };
    let mut inodes = Inodes::new();
    for (path, name) in entries(&layout.blobs()) {
        let Ok(about) = fs::symlink_metadata(&path) else {
            continue;
        };
        inodes.extend(identity(&about).map(|id| (id, path.clone())));
        if name.contains('.') {
            repo.unfinished.insert(path, on_disk(&about));
            continue;
        }
        // The store that repositories share has its own accounts.
        let bytes = if about.is_symlink() {
            0
        } else {
            on_disk(&about)
        };
        if let Ok(content) = fs::metadata(&path) {
            repo.last_used = repo.last_used.max(content.accessed().ok());
            repo.last_modified = repo.last_modified.max(content.modified().ok());
        } else {
            warn(&path, "it links to a content that is not there");
        }
        repo.blobs.insert(path, Blob { bytes });
    }
    let mut refs = read_refs(layout, &mut warn);
    for (path, name) in entries(&layout.snapshots()) {
        if name == ".DS_Store" {
            continue;
        }
        let Ok(commit) = Commit::new(&name) else {
            warn(&path, "it is not named for a commit");
            continue;
        };
        let mut files = Vec::new();
        let mut unfinished = BTreeMap::new();
        walk(&path, &mut |file| {
            if file.to_string_lossy().ends_with(TEMPORARY_SUFFIX) {
                let bytes = fs::symlink_metadata(file).map_or(0, |about| on_disk(&about));
                unfinished.insert(file.to_owned(), bytes);
                return;
            }
            match fs::metadata(file) {
                Ok(about) => files.push(CachedFile {
                    path: file.strip_prefix(&path).unwrap_or(file).to_owned(),
                    size: about.len(),
                    blob: first_hop(file).or_else(|| same_file(&about, &inodes)),
                }),
                Err(_) => warn(file, "it links to a content that is not there"),
            }
        });
        repo.unfinished.extend(unfinished);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        repo.revisions.push(CachedRevision {
            refs: refs.remove(&commit).unwrap_or_default(),
            commit,
            path,
            files,
        });
    }
    for (commit, names) in refs {
        for name in names {
            let reason = format!("it points at {commit}, which is not in the cache");
            warn(&layout.reference(&name), &reason);
        }
    }
    repo.revisions.sort_by(|a, b| a.commit.cmp(&b.commit));
    repo
}

fn read_refs(
    layout: &RepoLayout,
    warn: &mut impl FnMut(&Path, &str),
) -> BTreeMap<Commit, Vec<RefName>> {
    let mut refs: BTreeMap<Commit, Vec<RefName>> = BTreeMap::new();
    let folder = layout.refs();
    walk(&folder, &mut |path| {
        let relative = path.strip_prefix(&folder).unwrap_or(path);
        let segments: Vec<_> = relative.iter().map(|s| s.to_string_lossy()).collect();
        let Ok(name) = RefName::new(&segments.join("/")) else {
            return;
        };
        match layout.read_ref(&name) {
            Some(commit) => refs.entry(commit).or_default().push(name),
            None if segments.last().is_some_and(|name| name == ".DS_Store") => {}
            None => warn(path, "it does not hold a commit"),
        }
    });
    refs
}

/// Files by what the file system calls them.
type Inodes = BTreeMap<(u64, u64), PathBuf>;

/// The blob that a file of a snapshot is another name for.
fn same_file(about: &fs::Metadata, blobs: &Inodes) -> Option<PathBuf> {
    blobs.get(&identity(about)?).cloned()
}

/// What tells a file that has several names from all others, where that can be told.
#[cfg(unix)]
fn identity(about: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    (about.is_file() && about.nlink() > 1).then(|| (about.dev(), about.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// Where a link leads at first: not through a second link into the shared store.
pub(crate) fn first_hop(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    let mut path = link.parent()?.to_owned();
    for component in target.components() {
        match component {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::CurDir => {}
            component => path.push(component),
        }
    }
    Some(path)
}

/// Blobs that a revision of the repository shows.
pub(crate) fn referenced(revisions: &[CachedRevision]) -> BTreeSet<&Path> {
    revisions
        .iter()
        .flat_map(|revision| &revision.files)
        .filter_map(|file| file.blob.as_deref())
        .collect()
}

/// Calls `visit` with every file and link below a folder; links to folders are not followed.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for (path, _) in entries(folder) {
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_dir() => walk(&path, visit),
            Ok(_) => visit(&path),
            Err(_) => {}
        }
    }
}

/// The entries of a folder with their names; none if it can't be read.
fn entries(folder: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| {
            (
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            )
        })
        .collect()
}

/// Bytes that a file takes on the disk: partial files have holes.
#[cfg(unix)]
pub(crate) fn on_disk(about: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    about.len().min(about.blocks().saturating_mul(512))
}

#[cfg(not(unix))]
pub(crate) fn on_disk(about: &fs::Metadata) -> u64 {
    about.len()
}
