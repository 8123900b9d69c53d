//! A file mapped into memory for reading: the crate's one place that needs `unsafe`.

use std::{fs::File, ops::Deref, path::Path};

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

impl Deref for MemoryMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
