//! The notes that Python's client keeps of a commit's files, so that it need not ask again:
//!
//! ```text
//! models--org--name/trees/<commit>.json           all files, with sizes and hashes
//! models--org--name/.no_exist/<commit>/<path>     empty: there is no such file
//! ```
//!
//! With the first, `snapshot_download` can tell offline that a snapshot lacks files; with the
//! second, `try_to_load_from_cache` answers that there is nothing to look for.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::layout::{RepoLayout, write_whole};
use crate::{Commit, Digest, Error, FilePath, ListedFile, Listing, names::is_hex};

/// The version of `trees/<commit>.json` that `huggingface_hub` 2.4 reads and writes.
const FORMAT: u32 = 1;
/// A listing longer than this is not read: a hundred thousand files take less.
const MOST_LISTING: u64 = 64 << 20;

/// Files that loaders ask for one by one, to find out whether they are there.
const OFTEN_ASKED_FOR: [&str; 16] = [
    "adapter_config.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

#[derive(Serialize, Deserialize)]
struct Document {
    format_version: u32,
    files: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    size: u64,
    blob_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xet_hash: Option<String>,
}

impl RepoLayout {
    pub(crate) fn listing(&self, commit: &Commit) -> PathBuf {
        self.root.join("trees").join(format!("{commit}.json"))
    }

    pub(crate) fn absences(&self, commit: &Commit) -> PathBuf {
        self.root.join(".no_exist").join(commit.as_str())
    }

    /// The listing that some client left; `None` if there is none, or one with a word that can't be
    /// right.
    pub(crate) fn read_listing(&self, commit: &Commit) -> Option<Listing> {
        let path = self.listing(commit);
        let mut bytes = Vec::new();
        let file = File::open(&path).ok()?;
        file.take(MOST_LISTING).read_to_end(&mut bytes).ok()?;
        let document: Document = serde_json::from_slice(&bytes).ok()?;
        let listing = (document.format_version == FORMAT)
            .then(|| checked(document.files))
            .flatten();
        if listing.is_none() {
            tracing::debug!(path = %path.display(), "not a listing that can be used");
        }
        listing
    }

    /// Notes which files a commit has, and of those that are often asked for which it has not.
    ///
    /// A listing that is there already stays: it may say more.
    pub(crate) fn write_listing(&self, commit: &Commit, listing: &Listing) -> Result<(), Error> {
        let folder = self.root.join("trees");
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        if self.read_listing(commit).is_none() {
            let document = Document {
                format_version: FORMAT,
                files: listing
                    .files()
                    .map(|(path, file)| (path.to_string(), Entry::from(file)))
                    .collect(),
            };
            let path = self.listing(commit);
            let text = serde_json::to_vec(&document)
                .map_err(|e| Error::io("write", &path, io::Error::from(e)))?;
            write_whole(&path, &text)?;
        }
        let folder = self.absences(commit);
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        for name in OFTEN_ASKED_FOR {
            let is_there = FilePath::new(name).is_ok_and(|path| listing.get(&path).is_some());
            if !is_there {
                let path = folder.join(name);
                File::create(&path).map_err(|e| Error::io("create", &path, e))?;
            }
        }
        Ok(())
    }
}

fn checked(files: BTreeMap<String, Entry>) -> Option<Listing> {
    let mut listing = Listing::default();
    for (path, entry) in files {
        listing.insert(FilePath::new(&path).ok()?, entry.checked()?);
    }
    Some(listing)
}

impl Entry {
    fn checked(self) -> Option<ListedFile> {
        let Some(Digest::GitSha1(git)) = Digest::from_hex(&self.blob_id) else {
            return None;
        };
        let mut file = ListedFile::new(self.lfs_size.unwrap_or(self.size), git);
        if let Some(sha256) = &self.lfs_sha256 {
            let Some(Digest::Sha256(sha256)) = Digest::from_hex(sha256) else {
                return None;
            };
            file = file.in_large_file_storage(sha256);
        }
        match self.xet_hash {
            Some(hash) if hash.len() == 64 && hash.bytes().all(is_hex) => {
                Some(file.with_xet_hash(hash))
            }
            Some(_) => None,
            None => Some(file),
        }
    }
}

impl From<&ListedFile> for Entry {
    fn from(file: &ListedFile) -> Self {
        let sha256 = file.sha256().map(|digest| digest.hex());
        Self {
            size: file.size(),
            blob_id: file.git().hex(),
            lfs_size: sha256.is_some().then(|| file.size()),
            lfs_sha256: sha256,
            xet_hash: file.xet_hash().map(str::to_owned),
        }
    }
}
