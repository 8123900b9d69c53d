//! The files of a model on this machine, as far as the store looks into them.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use downloader::{FilePath, Listing};
use serde_json::{Map, Value};

use super::{
    StoreError,
    gguf::{self, Choice},
};

/// The longest configuration that is read.
pub(super) const MOST_CONFIG: u64 = 16 << 20;

/// Files that a model is not whole without, if its repository has them. Every client that fetches
/// models fetches these.
const NEEDED: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
];

/// What a snapshot has of a model.
#[derive(Debug)]
pub(super) enum Here {
    /// A folder with all that an engine needs.
    Folder,
    /// A GGUF file.
    Gguf(PathBuf),
    /// Not all of it: these files are missing.
    Lacks(Vec<String>),
    /// Several GGUF files that were meant.
    Several(Vec<String>),
}

/// Looks for a model in a snapshot: the GGUF file that is `wanted`; otherwise what lies in its
/// folder, or its only GGUF file.
///
/// A snapshot may have been cut short by any client of the cache, so its being there is not enough.
/// Where the cache has a `listing` of the commit's files, what it says must be there, at its size.
pub(super) fn look(folder: &Path, wanted: Option<&str>, listing: Option<&Listing>) -> Here {
    let is_whole = |path: &str| {
        let listed = listing.and_then(|listing| listing.get(&FilePath::new(path).ok()?));
        fs::metadata(folder.join(path)).is_ok_and(|about| {
            about.is_file() && listed.is_none_or(|file| file.size() == about.len())
        })
    };
    let here = files_below(folder);
    let Some(wanted) = wanted else {
        let missing = missing(folder, listing, is_whole);
        let has_config = folder.join("config.json").is_file();
        return match gguf::choose(here.iter().map(String::as_str), None) {
            _ if missing.is_empty() => Here::Folder,
            Choice::One(path) if !has_config && is_whole(path) => Here::Gguf(folder.join(path)),
            _ => Here::Lacks(missing),
        };
    };
    // Of the files that are here one may fit, although it is not the only one of its repository.
    let all: Vec<&str> = match listing {
        Some(listing) => listing.files().map(|(path, _)| path.as_str()).collect(),
        None => here.iter().map(String::as_str).collect(),
    };
    match gguf::choose(all, Some(wanted)) {
        Choice::One(path) if is_whole(path) => Here::Gguf(folder.join(path)),
        Choice::One(path) => Here::Lacks(vec![path.to_owned()]),
        Choice::None => Here::Lacks(vec![wanted.to_owned()]),
        Choice::Several(paths) => Here::Several(paths.into_iter().map(str::to_owned).collect()),
    }
}

/// The paths of all files of a folder, with `/` between their parts.
fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), format!("{path}/")));
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// What a snapshot lacks of what an engine needs: nothing if it can be loaded.
fn missing(
    folder: &Path,
    listing: Option<&Listing>,
    is_whole: impl Fn(&str) -> bool,
) -> Vec<String> {
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
    let listed = listing.into_iter().flat_map(Listing::files);
    for (path, _) in listed {
        let path = path.as_str();
        let is_weights = path.starts_with("model") && path.ends_with(".safetensors");
        let is_needed = NEEDED.contains(&path) || (is_weights && !path.contains('/'));
        if is_needed && !is_whole(path) && !missing.iter().any(|name| name == path) {
            missing.push(path.to_owned());
        }
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

/// Bytes of a GGUF file, or of all `*.safetensors` files of a folder, links followed.
pub(super) fn weight_bytes(folder: &Path) -> Option<u64> {
    if folder.is_file() {
        return Some(folder.metadata().ok()?.len());
    }
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
