//! A partial file: bytes at their final positions, and a journal that says which are there.
//!
//! Each process writes only to files that it made itself, or whose writer has certainly ended. So
//! two processes that both believe they have the lock do double work, and no harm.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{
    extents::Extents,
    journal::{self, Contents, Header, Journal, Record},
    positioned,
};
use crate::{
    BlobName, Error,
    cache::{JOURNAL_SUFFIX, Owner, PARTIAL_SUFFIX, RepoLayout, random_id, sync_folder},
};

/// How much is read at once where a file is checked.
const READ_SIZE: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct Partial {
    data: File,
    data_path: PathBuf,
    journal_path: PathBuf,
    state: Mutex<State>,
    /// Told when `prefix`, the size or `closed` changes.
    grown: Condvar,
}

#[derive(Debug)]
struct State {
    journal: Journal,
    size: Option<u64>,
    extents: Extents,
    records: Vec<Record>,
    /// No more bytes will come.
    closed: bool,
}

/// Where a partial file's beginning without gaps stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grown {
    pub(crate) prefix: u64,
    pub(crate) size: Option<u64>,
    pub(crate) closed: bool,
}

impl Partial {
    /// Goes on with the partial file that an earlier process left, or begins a new one.
    ///
    /// `size` is what is known of it now; a partial file of another size is not used.
    pub(crate) fn open(
        layout: &RepoLayout,
        blob: &BlobName,
        size: Option<u64>,
    ) -> Result<Self, Error> {
        let mut candidates = candidates(layout, blob, size)?;
        candidates.sort_by_key(|c| std::cmp::Reverse(c.bytes()));
        let mut adopted = None;
        for candidate in candidates {
            if adopted.is_none() {
                adopted = candidate.adopt(layout, blob)?;
            } else if candidate.contents.header.owner.is_certainly_gone() {
                candidate.remove();
            }
        }
        let partial = match adopted {
            Some(partial) => partial,
            None => Self::create(layout, blob, size)?,
        };
        if let Some(size) = size {
            partial.set_size(size)?;
        }
        Ok(partial)
    }

    fn create(layout: &RepoLayout, blob: &BlobName, size: Option<u64>) -> Result<Self, Error> {
        let (data_path, journal_path) = new_paths(layout, blob);
        let data = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&data_path)
            .map_err(|e| Error::io("create", &data_path, e))?;
        let contents = Contents {
            header: Header::new(blob.as_str()),
            size,
            records: Vec::new(),
        };
        Self::with_journal(data, data_path, journal_path, contents)
    }

    fn with_journal(
        data: File,
        data_path: PathBuf,
        journal_path: PathBuf,
        contents: Contents,
    ) -> Result<Self, Error> {
        let journal = Journal::create(&journal_path, &contents)
            .map_err(|e| Error::io("write", &journal_path, e))?;
        Ok(Self::assemble(
            data,
            data_path,
            journal_path,
            journal,
            contents,
        ))
    }

    fn assemble(
        data: File,
        data_path: PathBuf,
        journal_path: PathBuf,
        journal: Journal,
        contents: Contents,
    ) -> Self {
        let mut extents = Extents::default();
        for record in &contents.records {
            extents.insert(record.range.clone());
        }
        in_use().insert(data_path.clone());
        Self {
            data,
            data_path,
            journal_path,
            state: Mutex::new(State {
                journal,
                size: contents.size,
                extents,
                records: contents.records,
                closed: false,
            }),
            grown: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.data_path
    }

    /// How many bytes are there.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().extents.total()
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.state().size
    }

    /// How many bytes are there without a gap from the beginning.
    pub(crate) fn prefix(&self) -> u64 {
        self.state().extents.prefix()
    }

    /// The parts of `range` that are not there.
    pub(crate) fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.state().extents.gaps(range)
    }

    /// Whether every byte is there.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.state();
        state
            .size
            .is_some_and(|size| state.extents.prefix() >= size)
    }

    /// Notes the size, once it is known.
    pub(crate) fn set_size(&self, size: u64) -> Result<(), Error> {
        let mut state = self.state();
        if state.size.is_none() {
            state
                .journal
                .append_size(size)
                .map_err(|e| Error::io("write", &self.journal_path, e))?;
            state.size = Some(size);
            self.grown.notify_all();
        }
        Ok(())
    }

    /// Writes bytes and their record. Bytes that are there already are left as they are.
    ///
    /// Returns how many were new.
    pub(crate) fn write(&self, offset: u64, pieces: &[Bytes]) -> Result<u64, Error> {
        let length: u64 = pieces.iter().map(|p| p.len() as u64).sum();
        let gaps = self.gaps(offset..offset + length);
        let mut new = 0;
        for gap in gaps {
            new += gap.end - gap.start;
            self.write_gap(offset, pieces, gap)?;
        }
        Ok(new)
    }

    fn write_gap(&self, offset: u64, pieces: &[Bytes], gap: Range<u64>) -> Result<(), Error> {
        let mut crc = crc32fast::Hasher::new();
        let mut at = offset;
        for piece in pieces {
            let end = at + piece.len() as u64;
            let from = gap.start.clamp(at, end);
            let to = gap.end.clamp(at, end);
            let wanted = piece.get((from - at) as usize..(to - at) as usize);
            if let Some(wanted) = wanted.filter(|w| !w.is_empty()) {
                positioned::write_all_at(&self.data, wanted, from)
                    .map_err(|e| Error::io("write", &self.data_path, e))?;
                crc.update(wanted);
            }
            at = end;
        }
        let record = Record {
            range: gap.clone(),
            crc: crc.finalize(),
        };
        let mut state = self.state();
        state
            .journal
            .append(&record)
            .map_err(|e| Error::io("write", &self.journal_path, e))?;
        state.records.push(record);
        state.extents.insert(gap);
        self.grown.notify_all();
        Ok(())
    }

    /// Reads bytes that are there.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        positioned::read_at(&self.data, buffer, offset)
            .map_err(|e| Error::io("read", &self.data_path, e))
    }

    /// Waits until there are more than `beyond` bytes from the beginning, or nothing more will come.
    pub(crate) fn wait_for_growth(&self, beyond: u64) -> Grown {
        let mut state = self.state();
        loop {
            let now = Grown {
                prefix: state.extents.prefix(),
                size: state.size,
                closed: state.closed,
            };
            if now.closed || now.prefix > beyond || now.size.is_some_and(|size| size <= beyond) {
                return now;
            }
            state = self
                .grown
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that no more bytes will come, which ends every wait.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.grown.notify_all();
    }

    /// Drops the records whose bytes are not what was written, in a journal written anew.
    ///
    /// Returns what is left and how many bytes were lost.
    pub(crate) fn recheck(
        &self,
        layout: &RepoLayout,
        blob: &BlobName,
    ) -> Result<(Self, u64), Error> {
        let (size, records, had) = {
            let state = self.state();
            (state.size, state.records.clone(), state.extents.total())
        };
        let sound = sound_records(&self.data, records)
            .map_err(|e| Error::io("read", &self.data_path, e))?;
        let contents = Contents {
            header: Header::new(blob.as_str()),
            size,
            records: sound,
        };
        let found = Candidate {
            data_path: self.data_path.clone(),
            journal_path: self.journal_path.clone(),
            contents,
        };
        let checked = found.take_over(layout, blob)?.ok_or_else(|| {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            Error::io("read", &self.data_path, gone)
        })?;
        let lost = had.saturating_sub(checked.bytes());
        Ok((checked, lost))
    }

    /// Makes the content durable and gives it its final name.
    ///
    /// `false` if the partial file is gone, because another process finished the same blob and cleaned up.
    pub(crate) fn publish(&self, layout: &RepoLayout, blob: &BlobName) -> Result<bool, Error> {
        if let Some(size) = self.size() {
            // A server that sent too much, or a size that was wrong before, leaves no trace.
            self.data
                .set_len(size)
                .map_err(|e| Error::io("write", &self.data_path, e))?;
        }
        self.data
            .sync_all()
            .map_err(|e| Error::io("write", &self.data_path, e))?;
        let path = layout.blob(blob);
        match fs::rename(&self.data_path, &path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(Error::io("rename", &self.data_path, e)),
        }
        sync_folder(&layout.blobs());
        remove(&self.journal_path);
        remove_leftovers(layout, blob);
        Ok(true)
    }

    /// Throws the partial file away.
    pub(crate) fn discard(&self) {
        remove(&self.data_path);
        remove(&self.journal_path);
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        in_use().remove(&self.data_path);
    }
}

/// The partial files that this process is working on.
fn in_use() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static IN_USE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A partial file that lies in the cache.
#[derive(Debug)]
struct Candidate {
    data_path: PathBuf,
    journal_path: PathBuf,
    contents: Contents,
}

impl Candidate {
    fn bytes(&self) -> u64 {
        let mut extents = Extents::default();
        for record in &self.contents.records {
            extents.insert(record.range.clone());
        }
        extents.total()
    }

    fn remove(&self) {
        remove(&self.data_path);
        remove(&self.journal_path);
    }

    /// Makes it this process's own, by taking it over or by copying.
    fn adopt(mut self, layout: &RepoLayout, blob: &BlobName) -> Result<Option<Partial>, Error> {
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
    fn take_over(self, layout: &RepoLayout, blob: &BlobName) -> Result<Option<Partial>, Error> {
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
fn candidates(
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

fn new_paths(layout: &RepoLayout, blob: &BlobName) -> (PathBuf, PathBuf) {
    let id = random_id();
    let blobs = layout.blobs();
    (
        blobs.join(format!("{blob}.{id}{PARTIAL_SUFFIX}")),
        blobs.join(format!("{blob}.{id}{JOURNAL_SUFFIX}")),
    )
}

/// Of these records the ones whose bytes have the right checksum.
fn sound_records(data: &File, records: Vec<Record>) -> io::Result<Vec<Record>> {
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
fn remove(path: &Path) {
    if let Err(e) = fs::remove_file(path)
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), error = %e, "could not remove a left-over file");
    }
}
