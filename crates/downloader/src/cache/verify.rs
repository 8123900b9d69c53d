//! Whether the contents of a cache are what their names say.

use std::{
    fs::{File, FileTimes},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{CachedRepo, CachedRevision, CleanUp, RepoLayout};
use crate::{BlobName, Digest, Error, FilePath, ListedFile, Listing};

const READ_SIZE: usize = 256 << 10;

/// What became of checking one commit.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verification {
    /// Each file of the snapshot.
    pub files: Vec<VerifiedFile>,
    repair: CleanUp,
}

/// What became of checking one file.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifiedFile {
    /// Its path inside the snapshot.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The finding.
    pub finding: Finding,
}

/// Whether a file is what it should be.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// It has the digest that it should have.
    Good {
        /// The digest.
        digest: Digest,
    },
    /// It has another digest.
    Damaged {
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        got: Digest,
    },
    /// Nothing here says which digest it should have.
    Unverifiable,
    /// It could not be read.
    Unreadable {
        /// Why.
        error: Error,
    },
}

impl Verification {
    /// Whether no file is damaged or unreadable.
    pub fn is_good(&self) -> bool {
        self.files
            .iter()
            .all(|file| matches!(file.finding, Finding::Good { .. } | Finding::Unverifiable))
    }

    /// A plan that deletes what is damaged, so that the next download fetches it again.
    pub fn repair(&self) -> &CleanUp {
        &self.repair
    }
}

pub(crate) fn verify(
    layout: &RepoLayout,
    repo: &CachedRepo,
    revision: &CachedRevision,
    mut progress: impl FnMut(u64),
) -> Verification {
    let listing = layout.read_listing(&revision.commit).unwrap_or_default();
    let mut repair = CleanUp::new(&layout.cache);
    let mut files = Vec::with_capacity(revision.files.len());
    for file in &revision.files {
        let named = file
            .blob
            .as_ref()
            .and_then(|blob| BlobName::new(blob.file_name()?.to_str()?).ok())
            .and_then(|name| name.digest());
        let path = revision.path.join(&file.path);
        let finding = match named.or_else(|| listed(&listing, &file.path)) {
            None => Finding::Unverifiable,
            Some(expected) => match digest_of(&path, expected, &mut progress) {
                Ok(got) if got == expected => Finding::Good { digest: got },
                Ok(got) => {
                    repair.add_damaged(repo, revision, &file.path);
                    Finding::Damaged { expected, got }
                }
                Err(e) => Finding::Unreadable {
                    error: Error::io("read", &path, e),
                },
            },
        };
        files.push(VerifiedFile {
            path: file.path.clone(),
            size: file.size,
            finding,
        });
    }
    Verification { files, repair }
}

fn listed(listing: &Listing, path: &Path) -> Option<Digest> {
    let segments: Vec<_> = path.iter().map(|s| s.to_string_lossy()).collect();
    let path = FilePath::new(&segments.join("/")).ok()?;
    listing.get(&path).map(ListedFile::digest)
}

/// The digest of a file's content. Reading it does not count as use.
fn digest_of(path: &Path, like: Digest, progress: &mut impl FnMut(u64)) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let mut hasher = like.hasher(about.len());
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
        progress(read as u64);
    }
    if let Ok(then) = about.accessed() {
        // Not this user's file, perhaps; then the time is what it is.
        let _ = file.set_times(FileTimes::new().set_accessed(then));
    }
    Ok(hasher.finish())
}
