//! The files of a model on this machine, as far as the store looks into them.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::StoreError;

/// The longest configuration that is read.
pub(super) const MOST_CONFIG: u64 = 16 << 20;

/// What a snapshot lacks of what an engine needs: nothing if it can be loaded.
///
/// A snapshot may have been cut short by any client of the cache, so its being there is not enough.
pub(super) fn missing(folder: &Path) -> Vec<String> {
    let there = |name: &str| folder.join(name).is_file();
    let mut missing = Vec::new();
    if !there("config.json") {
        missing.push("config.json".to_owned());
    }
    let index = json_object(&folder.join("model.safetensors.index.json"));
    match index {
        Ok(Some(index)) => {
            let shards: BTreeSet<&str> = index
                .get("weight_map")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(Map::values)
                .filter_map(Value::as_str)
                .collect();
            missing.extend(
                shards
                    .into_iter()
                    .filter(|name| !there(name))
                    .map(str::to_owned),
            );
        }
        Ok(None) if weight_files(folder).is_empty() => missing.push("model.safetensors".to_owned()),
        Ok(None) => {}
        Err(_) => missing.push("model.safetensors.index.json".to_owned()),
    }
    missing
}

fn weight_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors") && path.is_file())
        .collect()
}

/// Bytes of all `*.safetensors` files, links followed.
pub(super) fn weight_bytes(folder: &Path) -> Option<u64> {
    let files = weight_files(folder);
    if files.is_empty() {
        return None;
    }
    files.iter().try_fold(0_u64, |sum, path| {
        sum.checked_add(path.metadata().ok()?.len())
    })
}

/// A JSON object in a file; `None` if there is no file.
pub(super) fn json_object(path: &Path) -> Result<Option<Map<String, Value>>, StoreError> {
    let bad = |reason: String| StoreError::BadFile {
        path: path.to_path_buf(),
        reason,
    };
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(error.to_string())),
    };
    if size > MOST_CONFIG {
        return Err(bad(format!("it is longer than {MOST_CONFIG} bytes")));
    }
    let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let object = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    Ok(Some(object))
}
