//! The weights of a folder: safetensors files, with or without an index.
//!
//! The format is specified at <https://github.com/huggingface/safetensors#format>.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    ops::Range,
    path::{Component, Path, PathBuf},
};

use safetensors::tensor::Metadata;
use serde_json::Value;

use crate::{
    FilesError, Tensor, TensorInfo,
    json_file::{is_lfs_pointer, missing, read_object},
    memory_map::MemoryMap,
};

const INDEX: &str = "model.safetensors.index.json";
const LENGTH_BYTES: usize = size_of::<u64>();
/// The safetensors library's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What the names of a whole model's decoder begin with, and those of its output head.
const MODEL: &str = "model.";
const HEAD: &str = "lm_head.";

/// Whether the tensors are those of a decoder alone.
fn is_bare(infos: &BTreeMap<String, TensorInfo>) -> bool {
    infos.contains_key("embed_tokens.weight") && !infos.keys().any(|name| name.starts_with(MODEL))
}

/// The mapped files of a folder, and where in them each tensor lies.
#[derive(Debug)]
pub(crate) struct SafetensorsFolder {
    path: PathBuf,
    shards: Vec<MemoryMap>,
    places: HashMap<String, (usize, Range<usize>)>,
}

/// A safetensors file, its header read and checked.
struct Shard {
    map: MemoryMap,
    tensors: Vec<(TensorInfo, Range<usize>)>,
}

impl SafetensorsFolder {
    /// Maps the folder's weights and lists their tensors by name.
    pub(crate) fn open(folder: &Path) -> Result<(Self, BTreeMap<String, TensorInfo>), FilesError> {
        let index_path = folder.join(INDEX);
        let index = read_index(&index_path)?;
        let files = match &index {
            Some(index) => index.values().cloned().collect::<BTreeSet<_>>(),
            None => find_files(folder)?,
        };
        let mut opened = Self {
            path: folder.to_path_buf(),
            shards: Vec::new(),
            places: HashMap::new(),
        };
        let mut infos = BTreeMap::new();
        for file in files {
            let path = folder.join(&file);
            if index.is_some() && !path.exists() {
                return Err(missing(&path, format!(", although {INDEX} names it")));
            }
            let shard = open_shard(&path)?;
            let number = opened.shards.len();
            opened.shards.push(shard.map);
            for (info, range) in shard.tensors {
                // Where the index gives a tensor to another file, that one counts.
                let owner = index.as_ref().and_then(|index| index.get(&info.name));
                if owner.is_some_and(|owner| *owner != file) {
                    continue;
                }
                let place = (number, range);
                if opened.places.insert(info.name.clone(), place).is_some() {
                    return Err(FilesError::malformed(
                        &path,
                        format!(
                            "another file of the folder also holds the tensor {}",
                            info.name
                        ),
                    ));
                }
                infos.insert(info.name.clone(), info);
            }
        }
        if let Some((name, file)) = index
            .iter()
            .flatten()
            .find(|(name, _)| !opened.places.contains_key(*name))
        {
            return Err(FilesError::malformed(
                &index_path,
                format!(
                    "it says that {} holds the tensor {name}, which it does not",
                    file.display()
                ),
            ));
        }
        if is_bare(&infos) {
            // A decoder that was saved without the model around it, as those that embed texts are.
            let full = |name: &str| {
                let whole = if name.starts_with(HEAD) { "" } else { MODEL };
                format!("{whole}{name}")
            };
            let places = opened.places.into_iter();
            opened.places = places.map(|(name, place)| (full(&name), place)).collect();
            let renamed = infos.into_values().map(|mut info| {
                info.name = full(&info.name);
                (info.name.clone(), info)
            });
            infos = renamed.collect();
        }
        Ok((opened, infos))
    }

    /// See [`Checkpoint::release`](crate::Checkpoint::release).
    pub(crate) fn release(&self, name: &str) {
        if let Some((shard, range)) = self.places.get(name)
            && let Some(shard) = self.shards.get(*shard)
        {
            shard.release(range.clone());
        }
    }

    /// A tensor, borrowed from the mapped file.
    pub(crate) fn read(&self, info: &TensorInfo) -> Result<Tensor<'_>, FilesError> {
        self.places
            .get(&info.name)
            .and_then(|(shard, range)| self.shards.get(*shard)?.get(range.clone()))
            .map(|data| Tensor {
                info: info.clone(),
                data: Cow::Borrowed(data),
            })
            .ok_or_else(|| FilesError::TensorNotFound {
                path: self.path.clone(),
                tensor: info.name.clone(),
            })
    }
}

/// The index's `weight_map`: tensor names and the files that hold them.
fn read_index(path: &Path) -> Result<Option<BTreeMap<String, PathBuf>>, FilesError> {
    let Some(index) = read_object(path)? else {
        return Ok(None);
    };
    let map = index
        .get("weight_map")
        .and_then(Value::as_object)
        .filter(|map| !map.is_empty())
        .ok_or_else(|| {
            FilesError::malformed(
                path,
                "weight_map must be an object that names at least one tensor",
            )
        })?;
    map.iter()
        .map(|(name, file)| {
            let file = file.as_str().ok_or_else(|| {
                FilesError::malformed(
                    path,
                    format!("the file of the tensor {name} is not a string"),
                )
            })?;
            let file_path = PathBuf::from(file);
            let inside = !file.is_empty()
                && file_path
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
            if !inside {
                return Err(FilesError::malformed(
                    path,
                    format!("{file:?} is not the name of a file inside the folder"),
                ));
            }
            Ok((name.clone(), file_path))
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Without an index: all `model*.safetensors`, or else all `*.safetensors`.
fn find_files(folder: &Path) -> Result<BTreeSet<PathBuf>, FilesError> {
    let mut found = BTreeSet::new();
    let mut pickle = None;
    let entries = fs::read_dir(folder).map_err(|error| FilesError::io("list", folder, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| FilesError::io("list", folder, error))?;
        let name = PathBuf::from(entry.file_name());
        let ends_with = |wanted| {
            name.extension()
                .is_some_and(|extension| extension == wanted)
        };
        // Such as the `._*` companions that macOS leaves on foreign disks.
        if name.as_os_str().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if ends_with("safetensors") {
            found.insert(name);
        } else if ["bin", "pt", "pth"].into_iter().any(ends_with) {
            pickle = name.to_str().map(str::to_owned).or(pickle);
        }
    }
    let named_model: BTreeSet<_> = found
        .iter()
        .filter(|name| name.as_os_str().as_encoded_bytes().starts_with(b"model"))
        .cloned()
        .collect();
    if !named_model.is_empty() {
        return Ok(named_model);
    }
    if !found.is_empty() {
        return Ok(found);
    }
    Err(match pickle {
        Some(found) => FilesError::PicklesOnly {
            path: folder.to_path_buf(),
            found,
        },
        None => missing(
            &folder.join("model.safetensors"),
            ", and there is no other *.safetensors beside it",
        ),
    })
}

fn open_shard(path: &Path) -> Result<Shard, FilesError> {
    let map = MemoryMap::open(path)?;
    if is_lfs_pointer(&map) {
        return Err(FilesError::LfsPointer {
            path: path.to_path_buf(),
        });
    }
    let tensors = safetensors_header(&map).map_err(|reason| FilesError::malformed(path, reason))?;
    Ok(Shard { map, tensors })
}

/// The tensors that the bytes of a whole safetensors file describe, and where in these they lie.
///
/// # Errors
///
/// What is wrong with the file, in words: every length and offset is checked against its size.
///
/// The length is compared here rather than by `SafeTensors::read_metadata`, whose sum of the
/// two lengths overflows for a header that claims a tensor of nearly 2^64 bytes.
pub fn safetensors_header(file: &[u8]) -> Result<Vec<(TensorInfo, Range<usize>)>, String> {
    let (length, rest) = file
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or_else(|| format!("it has only {} bytes", file.len()))?;
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .filter(|_| length <= MAX_HEADER_BYTES)
        .and_then(|length| rest.get(..length))
        .ok_or_else(|| {
            format!(
                "its header would take {length} bytes, and the rest of the file has {}",
                rest.len()
            )
        })?;
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| format!("its header is invalid: {error}"))?;
    let data_start = LENGTH_BYTES + header.len();
    let data_len = file.len() - data_start;
    if metadata.data_len() != data_len {
        return Err(format!(
            "its header describes {} bytes of data, and {data_len} are there",
            metadata.data_len()
        ));
    }
    Ok(metadata
        .tensors()
        .into_iter()
        .map(|(name, found)| {
            let (start, end) = found.data_offsets;
            let info = TensorInfo {
                name,
                shape: found.shape.clone(),
                dtype: found.dtype.into(),
            };
            (info, data_start + start..data_start + end)
        })
        .collect())
}
