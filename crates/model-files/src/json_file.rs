//! Reading text and JSON files of a folder, with errors that say what is wrong.

use std::{fs, io::ErrorKind, path::Path};

use serde_json::{Map, Value};

use crate::FilesError;

/// Configuration files are kilobytes; an index of a large model is a few megabytes.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// How a git-LFS pointer begins (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// Whether these are the first bytes of a git-LFS pointer.
pub(crate) fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(LFS_POINTER)
}

/// A text file's content; `None` if there is no such file.
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> Result<Option<String>, FilesError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FilesError::io("examine", path, error)),
    };
    if !metadata.is_file() {
        return Err(FilesError::malformed(path, "it is not a file"));
    }
    if metadata.len() > max_bytes {
        return Err(FilesError::malformed(
            path,
            format!(
                "it has {} bytes, and at most {max_bytes} are read",
                metadata.len()
            ),
        ));
    }
    let bytes = fs::read(path).map_err(|error| FilesError::io("read", path, error))?;
    if bytes.is_empty() {
        return Err(FilesError::malformed(path, "it is empty"));
    }
    if is_lfs_pointer(&bytes) {
        return Err(FilesError::LfsPointer {
            path: path.to_path_buf(),
        });
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|error| FilesError::malformed(path, format!("it is not UTF-8 text: {error}")))
}

/// A JSON object's members; `None` if there is no such file.
pub(crate) fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, FilesError> {
    let Some(text) = read_text(path, MAX_JSON_BYTES)? else {
        return Ok(None);
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(FilesError::malformed(path, "it is JSON, but not an object")),
        Err(error) => Err(FilesError::malformed(
            path,
            format!("it is not valid JSON: {error}"),
        )),
    }
}

/// A JSON array's elements; `None` if there is no such file.
pub(crate) fn read_array(path: &Path) -> Result<Option<Vec<Value>>, FilesError> {
    let Some(text) = read_text(path, MAX_JSON_BYTES)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| FilesError::malformed(path, format!("it is not a JSON array: {error}")))
}

/// The error for a file that must be there.
pub(crate) fn missing(path: &Path, reason: impl Into<String>) -> FilesError {
    FilesError::Missing {
        path: path.to_path_buf(),
        reason: reason.into(),
    }
}
