//! A GGUF file on disk: its header, and its blocks mapped into memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{GgufTensor, Header, MetadataValue};
use crate::{FilesError, json_file::is_lfs_pointer, memory_map::MemoryMap};

/// An open GGUF file, its blocks readable in place.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    header: Header,
    map: MemoryMap,
}

impl GgufFile {
    /// Opens the file, and reads and checks its header.
    pub fn open(path: &Path) -> Result<Self, FilesError> {
        let map = MemoryMap::open(path)?;
        if is_lfs_pointer(&map) {
            return Err(FilesError::LfsPointer {
                path: path.to_path_buf(),
            });
        }
        let header =
            Header::parse(&map).map_err(|error| FilesError::malformed(path, error.to_string()))?;
        Ok(Self {
            path: path.to_path_buf(),
            header,
            map,
        })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says before its data.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// All metadata, by key.
    pub const fn metadata(&self) -> &BTreeMap<String, MetadataValue> {
        self.header.metadata()
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> &[GgufTensor] {
        self.header.tensors()
    }

    /// A tensor by GGML's name for it.
    pub fn tensor(&self, name: &str) -> Option<&GgufTensor> {
        self.header.tensor(name)
    }

    /// Takes a tensor's blocks out of this process's memory until they are read again.
    pub(crate) fn release(&self, tensor: &GgufTensor) {
        if let Some(range) = tensor.range.clone() {
            self.map.release(range);
        }
    }

    /// The blocks of one of this file's tensors, as they are stored.
    ///
    /// # Errors
    ///
    /// [`FilesError::UnsupportedTensorType`] if the type's block size is unknown, and
    /// [`FilesError::TensorNotFound`] if the tensor is another file's.
    pub fn blocks(&self, tensor: &GgufTensor) -> Result<&[u8], FilesError> {
        let Some(range) = tensor.range.clone() else {
            return Err(FilesError::UnsupportedTensorType {
                path: self.path.clone(),
                tensor: tensor.name.clone(),
                kind: tensor.kind.to_string(),
            });
        };
        self.map
            .get(range)
            .ok_or_else(|| FilesError::TensorNotFound {
                path: self.path.clone(),
                tensor: tensor.name.clone(),
            })
    }
}
