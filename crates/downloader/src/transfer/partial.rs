//! A partial file: bytes at their final positions, and a journal that says which are there.
//!
//! Each process writes only to files that it made itself, or whose writer has certainly ended. So
//! two processes that both believe they have the lock do double work, and no harm.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{
    extents::Extents,
    handover::Handover,
    journal::{Contents, Header, Journal, Record},
    leftovers::{Candidate, candidates, new_paths, remove, remove_leftovers, sound_records},
    positioned,
};
use crate::{
    BlobName, Error,
    cache::{RepoLayout, sync_folder},
};

/// How many bytes gather before they are sent to the disk.
const SEND_OUT: u64 = 256 << 20;

#[derive(Debug)]
pub(crate) struct Partial {
    data: File,
    data_path: PathBuf,
    journal_path: PathBuf,
    state: Mutex<State>,
    /// Bytes that have been sent to the disk early, and whether that is under way.
    sent_out: AtomicU64,
    sending_out: Arc<AtomicBool>,
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
    /// Someone computes the digest.
    is_followed: bool,
    handover: Handover,
}

/// Where a partial file's beginning without gaps stands.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) prefix: u64,
    pub(crate) size: Option<u64>,
    pub(crate) closed: bool,
    /// The bytes themselves from where the waiting stood, where they are still in memory.
    pub(crate) pieces: VecDeque<Bytes>,
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

    pub(super) fn with_journal(
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

    pub(super) fn assemble(
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
                is_followed: false,
                handover: Handover::default(),
            }),
            sent_out: AtomicU64::new(0),
            sending_out: Arc::default(),
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
    pub(crate) fn write(&self, offset: u64, bytes: &Bytes) -> Result<u64, Error> {
        let gaps = self.gaps(offset..offset + bytes.len() as u64);
        let mut new = 0;
        for gap in gaps {
            new += gap.end - gap.start;
            let wanted = bytes.slice((gap.start - offset) as usize..(gap.end - offset) as usize);
            self.write_gap(&gap, wanted)?;
        }
        Ok(new)
    }

    fn write_gap(&self, gap: &Range<u64>, bytes: Bytes) -> Result<(), Error> {
        positioned::write_all_at(&self.data, &bytes, gap.start)
            .map_err(|e| Error::io("write", &self.data_path, e))?;
        let record = Record {
            range: gap.clone(),
            crc: crc32fast::hash(&bytes),
        };
        let mut state = self.state();
        state
            .journal
            .append(&record)
            .map_err(|e| Error::io("write", &self.journal_path, e))?;
        state.records.push(record);
        state.extents.insert(gap.clone());
        let is_handed_over = state.is_followed && state.handover.offer(gap.start, bytes);
        self.grown.notify_all();
        // The digest has to be computed before the end anyway, and here it costs no reading.
        while is_handed_over && state.is_followed && !state.closed && state.handover.is_full() {
            state = self
                .grown
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Work that sends to the disk what has gathered in memory, if that is much.
    ///
    /// Without it the disk would be idle until the end, when everything is made durable at once.
    pub(crate) fn send_out(&self) -> Option<impl FnOnce() + Send + 'static> {
        let bytes = self.bytes();
        if bytes.saturating_sub(self.sent_out.load(Ordering::Relaxed)) < SEND_OUT
            || self.sending_out.swap(true, Ordering::Relaxed)
        {
            return None;
        }
        self.sent_out.store(bytes, Ordering::Relaxed);
        let sending_out = Arc::clone(&self.sending_out);
        // A handle of its own: whoever takes the partial file over need not wait for this.
        let data = self.data.try_clone().ok()?;
        Some(move || {
            // What fails here fails again, and is reported, when the file is published.
            let _ = data.sync_data();
            sending_out.store(false, Ordering::Relaxed);
        })
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
            let mut now = Grown {
                prefix: state.extents.prefix(),
                size: state.size,
                closed: state.closed,
                pieces: VecDeque::new(),
            };
            if now.closed || now.prefix > beyond || now.size.is_some_and(|size| size <= beyond) {
                now.pieces = state.handover.take(beyond).unwrap_or_default();
                self.grown.notify_all();
                return now;
            }
            state.handover.expect(beyond);
            state = self
                .grown
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says whether someone computes the digest.
    pub(crate) fn set_followed(&self, is_followed: bool) {
        self.state().is_followed = is_followed;
        self.grown.notify_all();
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

    /// Gives the content its final name, once it is `durable` if it has to be.
    ///
    /// `false` if the partial file is gone, because another process finished the same blob and cleaned up.
    pub(crate) fn publish(
        &self,
        layout: &RepoLayout,
        blob: &BlobName,
        durable: bool,
    ) -> Result<bool, Error> {
        if let Some(size) = self.size() {
            // A server that sent too much, or a size that was wrong before, leaves no trace.
            self.data
                .set_len(size)
                .map_err(|e| Error::io("write", &self.data_path, e))?;
        }
        if durable {
            self.data
                .sync_all()
                .map_err(|e| Error::io("write", &self.data_path, e))?;
        }
        let path = layout.blob(blob);
        match fs::rename(&self.data_path, &path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(Error::io("rename", &self.data_path, e)),
        }
        if durable {
            sync_folder(&layout.blobs());
        }
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
pub(super) fn in_use() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static IN_USE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}
