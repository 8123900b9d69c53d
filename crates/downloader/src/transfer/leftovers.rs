//! Partial files that earlier processes, or other ones, left in the cache.

use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    extents::Extents,
    journal::{self, Contents, Header, Journal, Record},
    partial::{Partial, in_use},
    positioned,
};
use crate::{
    BlobName, Error,
    cache::{JOURNAL_SUFFIX, Owner, PARTIAL_SUFFIX, RepoLayout, random_id},
};

/// How much is read at once where a file is checked.
const READ_SIZE: usize = 256 << 10;

/// A partial file that lies in the cache.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) data_path: PathBuf,
    pub(super) journal_path: PathBuf,
    pub(super) contents: Contents,
}

impl Candidate {
    pub(super) fn bytes(&self) -> u64 {
        let mut extents = Extents::default();
        for record in &self.contents.records {
            extents.insert(record.range.clone());
        }
        extents.total()
    }

    pub(super) fn remove(&self) {
        remove(&self.data_path);
        remove(&self.journal_path);
    }

    /// Makes it this process's own, by taking it over or by copying.
    pub(super) fn adopt(
        mut self,
        layout: &RepoLayout,
        blob: &BlobName,
    ) -> Result<Option<Partial>, Error> {
        let owner = &self.contents.header.owner;
        if owner.is_this_process() && in_use().contains(&self.data_path) {
            // By another download of this process, where locks do not work.
            return Ok(None);
        }
        if owner.is_this_process() || owner.is_certainly_gone() {
            // The machine has not been restarted since, so what was written is there.
            return self.take_over(layout, blob);
        }
        let (data_path, journal_path) = new_paths(layout, blob);
        let copied = fs::copy(&self.data_path, &data_path)
            .and_then(|_| OpenOptions::new().read(true).write(true).open(&data_path))
            .and_then(|data| {
                let records = std::mem::take(&mut self.contents.records);
                Ok((sound_records(&data, records)?, data))
            });
        match copied {
            Ok((records, data)) => {
                let contents = Contents {
                    header: Header::new(blob.as_str()),
                    size: self.contents.size,
                    records,
                };
                Partial::with_journal(data, data_path, journal_path, contents).map(Some)
            }
            Err(e) => {
                remove(&data_path);
                if e.kind() == io::ErrorKind::NotFound {
                    return Ok(None);
                }
                Err(Error::io("copy", &self.data_path, e))
            }
        }
    }

    /// Renames it to a name of this process. `None` if another process was faster.
    pub(super) fn take_over(
        self,
        layout: &RepoLayout,
        blob: &BlobName,
    ) -> Result<Option<Partial>, Error> {
        let (data_path, journal_path) = new_paths(layout, blob);
        let contents = Contents {
            header: Header::new(blob.as_str()),
            ..self.contents
        };
        // The journal first: without a partial file it means nothing.
        let journal = Journal::create(&journal_path, &contents).map_err(|e| {
            remove(&journal_path);
            Error::io("write", &journal_path, e)
        })?;
        let taken = fs::rename(&self.data_path, &data_path)
            .and_then(|()| OpenOptions::new().read(true).write(true).open(&data_path));
        match taken {
            Ok(data) => {
                remove(&self.journal_path);
                Ok(Some(Partial::assemble(
                    data,
                    data_path,
                    journal_path,
                    journal,
                    contents,
                )))
            }
            Err(e) => {
                remove(&journal_path);
                if e.kind() == io::ErrorKind::NotFound {
                    return Ok(None);
                }
                Err(Error::io("rename", &self.data_path, e))
            }
        }
    }
}

/// How many bytes of a blob an earlier process left that can be used.
pub(crate) fn resumable(layout: &RepoLayout, blob: &BlobName, size: Option<u64>) -> u64 {
    let found = candidates(layout, blob, size).unwrap_or_default();
    found.iter().map(Candidate::bytes).max().unwrap_or(0)
}

/// Whose a partial file or a journal is; `None` where that can't be read.
pub(crate) fn owner_of_partial(path: &Path) -> Option<Owner> {
    let name = path.file_name()?.to_str()?;
    let stem = name
        .strip_suffix(PARTIAL_SUFFIX)
        .or_else(|| name.strip_suffix(JOURNAL_SUFFIX))?;
    let journal = fs::read(path.with_file_name(format!("{stem}{JOURNAL_SUFFIX}"))).ok()?;
    let contents = journal::read(&String::from_utf8_lossy(&journal))?;
    Some(contents.header.owner)
}

/// The partial files of a blob that have a journal which fits.
pub(super) fn candidates(
    layout: &RepoLayout,
    blob: &BlobName,
    size: Option<u64>,
) -> Result<Vec<Candidate>, Error> {
    let mut found = Vec::new();
    for data_path in leftovers(layout, blob) {
        let Some(stem) = data_path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(PARTIAL_SUFFIX))
        else {
            continue;
        };
        let journal_path = data_path.with_file_name(format!("{stem}{JOURNAL_SUFFIX}"));
        let text = match fs::read(&journal_path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("read", &journal_path, e)),
        };
        let length = fs::metadata(&data_path).map_or(0, |about| about.len());
        let Some(mut contents) = journal::read(&text).filter(|c| c.header.blob == blob.as_str())
        else {
            continue;
        };
        if size.is_some() && contents.size.is_some() && size != contents.size {
            continue;
        }
        let end = size.or(contents.size).unwrap_or(u64::MAX).min(length);
        contents.records.retain(|record| record.range.end <= end);
        found.push(Candidate {
            data_path,
            journal_path,
            contents,
        });
    }
    Ok(found)
}

/// Everything in the blobs' folder that belongs to an unfinished download of ours of one blob.
fn leftovers(layout: &RepoLayout, blob: &BlobName) -> Vec<PathBuf> {
    let prefix = format!("{blob}.");
    let Ok(entries) = fs::read_dir(layout.blobs()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(&prefix)
                && (name.ends_with(PARTIAL_SUFFIX) || name.ends_with(JOURNAL_SUFFIX))
        })
        .map(|entry| entry.path())
        .collect()
}

/// Removes everything unfinished of a blob that is there.
pub(crate) fn remove_leftovers(layout: &RepoLayout, blob: &BlobName) {
    for left in leftovers(layout, blob) {
        remove(&left);
    }
}

pub(super) fn new_paths(layout: &RepoLayout, blob: &BlobName) -> (PathBuf, PathBuf) {
    let id = random_id();
    let blobs = layout.blobs();
    (
        blobs.join(format!("{blob}.{id}{PARTIAL_SUFFIX}")),
        blobs.join(format!("{blob}.{id}{JOURNAL_SUFFIX}")),
    )
}

/// Of these records the ones whose bytes have the right checksum.
pub(super) fn sound_records(data: &File, records: Vec<Record>) -> io::Result<Vec<Record>> {
    let mut buffer = vec![0; READ_SIZE];
    let mut sound = Vec::with_capacity(records.len());
    for record in records {
        if checksum(data, &record.range, &mut buffer)? == Some(record.crc) {
            sound.push(record);
        }
    }
    Ok(sound)
}

fn checksum(data: &File, range: &Range<u64>, buffer: &mut [u8]) -> io::Result<Option<u32>> {
    let mut crc = crc32fast::Hasher::new();
    let mut at = range.start;
    while at < range.end {
        let most = (range.end - at).min(buffer.len() as u64) as usize;
        let Some(window) = buffer.get_mut(..most) else {
            return Ok(None);
        };
        let read = positioned::read_at(data, window, at)?;
        if read == 0 {
            return Ok(None);
        }
        crc.update(window.get(..read).unwrap_or_default());
        at += read as u64;
    }
    Ok(Some(crc.finalize()))
}

/// Removes a file that nobody needs; it may be gone already.
pub(super) fn remove(path: &Path) {
    if let Err(e) = fs::remove_file(path)
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), error = %e, "could not remove a left-over file");
    }
}
