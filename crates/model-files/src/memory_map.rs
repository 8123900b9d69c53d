//! A file mapped into memory for reading: the crate's one place that needs `unsafe`.

use std::{
    fs::File,
    ops::{Deref, Range},
    path::Path,
};

use crate::FilesError;

/// The bytes of a file, read by the operating system when they are touched.
#[derive(Debug)]
pub(crate) struct MemoryMap(memmap2::Mmap);

impl MemoryMap {
    /// Maps a file that is not empty.
    pub(crate) fn open(path: &Path) -> Result<Self, FilesError> {
        let file = File::open(path).map_err(|error| FilesError::io("open", path, error))?;
        let metadata = file
            .metadata()
            .map_err(|error| FilesError::io("examine", path, error))?;
        if !metadata.is_file() {
            return Err(FilesError::malformed(path, "it is not a file"));
        }
        if metadata.len() == 0 {
            return Err(FilesError::malformed(path, "it is empty"));
        }
        #[expect(unsafe_code, reason = "mapping a file has no safe form")]
        // SAFETY: the map is private to this type, read-only, and handed out only as
        // `&[u8]` that borrows it. What remains is that another program may change the
        // file meanwhile: changed bytes are only ever read as numbers, and a shortened
        // file ends the process (documented in the crate's README).
        let map = unsafe { memmap2::Mmap::map(&file) };
        map.map(Self)
            .map_err(|error| FilesError::io("map", path, error))
    }
}

impl MemoryMap {
    /// Takes pages that lie wholly in `range` out of this process's memory. The file still has them,
    /// and they are read again when they are touched.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        {
            // Pages on both edges may hold other tensors; taking them out only costs reading them
            // again, so the system's own rounding may do as it likes.
            let len = range.end.min(self.0.len()).saturating_sub(range.start);
            #[expect(unsafe_code, reason = "the advice is unsafe for other kinds of maps")]
            // SAFETY: the map is of a file and read-only, so that a page that is dropped comes
            // back with the file's content.
            let _ = unsafe {
                self.0
                    .unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, len)
            };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }
}

impl Deref for MemoryMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
