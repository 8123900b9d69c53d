//! Writing what a GGUF file presents as a folder in mlx-lm's form.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use safetensors::tensor::{Dtype as FileDtype, Metadata, TensorInfo as FileTensorInfo};
use serde_json::{Map, Value};

use crate::{Checkpoint, Dtype, FilesError, Format, TensorInfo};

/// Writes a GGUF file as a folder: `config.json`, `generation_config.json`, `model.safetensors`,
/// `tokenizer.json`, `tokenizer_config.json`.
///
/// Tensors are converted one by one. `progress` is given the bytes of weights written and their
/// total. The folder is written under another name beside `out_dir` and renamed when it is
/// complete: what is at `out_dir` is either whole or as it was. After an error nothing remains;
/// after a crash a hidden folder `.<name>.*.incomplete` may, which can be deleted.
///
/// # Errors
///
/// [`FilesError::OutputNotEmpty`] if `out_dir` is there and not an empty folder, everything that
/// [`Checkpoint::open`] and [`Checkpoint::read`] report, and [`FilesError::Io`].
pub fn convert_to_mlx_folder(
    gguf: &Path,
    out_dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), FilesError> {
    let exists = is_empty_folder(out_dir)?;
    let checkpoint = Checkpoint::open(gguf)?;
    if checkpoint.format() != Format::Gguf {
        return Err(FilesError::UnknownFormat {
            path: gguf.to_path_buf(),
            reason: "it is a folder already, not a GGUF file".to_owned(),
        });
    }
    let (parent, name) = split_path(out_dir)?;
    fs::create_dir_all(&parent).map_err(|error| FilesError::io("create", &parent, error))?;
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{name}.");
    builder.prefix(&prefix).suffix(".incomplete");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other folder: the process's mask decides.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    let folder = builder
        .tempdir_in(&parent)
        .map_err(|error| FilesError::io("create a folder in", &parent, error))?;

    write_weights(
        &checkpoint,
        &folder.path().join("model.safetensors"),
        progress,
    )?;
    write_object(checkpoint.config(), &folder.path().join("config.json"))?;
    if let Some(config) = checkpoint
        .generation_config()
        .filter(|config| !config.is_empty())
    {
        write_object(config, &folder.path().join("generation_config.json"))?;
    }
    let text = checkpoint.text();
    write_file(
        &folder.path().join("tokenizer.json"),
        text.tokenizer_json.as_bytes(),
    )?;
    if let Some(config) = &text.tokenizer_config {
        write_object(config, &folder.path().join("tokenizer_config.json"))?;
    }
    if exists && !cfg!(unix) {
        // Elsewhere a folder is not renamed over another, even if that is empty.
        fs::remove_dir(out_dir).map_err(|error| FilesError::io("replace", out_dir, error))?;
    }
    fs::rename(folder.path(), out_dir)
        .map_err(|error| FilesError::io("rename the finished folder to", out_dir, error))?;
    // Nothing is left under the old name, so there is nothing to clean up.
    let _renamed = folder.keep();
    Ok(())
}

/// Whether it is there; an error unless it is absent or an empty folder.
fn is_empty_folder(path: &Path) -> Result<bool, FilesError> {
    let not_empty = || FilesError::OutputNotEmpty {
        path: path.to_path_buf(),
    };
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(true),
            Some(_) => Err(not_empty()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Err(not_empty()),
        Err(error) => Err(FilesError::io("list", path, error)),
    }
}

fn split_path(path: &Path) -> Result<(PathBuf, String), FilesError> {
    let name = path.file_name().ok_or_else(|| FilesError::Io {
        operation: "create",
        path: path.to_path_buf(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path ends in no name"),
    })?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    Ok((parent, name.to_string_lossy().into_owned()))
}

fn write_weights(
    checkpoint: &Checkpoint,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), FilesError> {
    let mut infos = checkpoint
        .tensors()
        .map(|info| checkpoint.exact_info(info))
        .collect::<Result<Vec<_>, _>>()?;
    // Larger elements first, so that every tensor is aligned to its element's size.
    infos.sort_by(|a, b| {
        (Reverse(a.dtype.size_of()), &a.name).cmp(&(Reverse(b.dtype.size_of()), &b.name))
    });
    let header = header(checkpoint, &infos)?;
    let total = infos
        .iter()
        .filter_map(TensorInfo::byte_len)
        .map(|bytes| bytes as u64)
        .sum();

    let file = File::create(path).map_err(|error| FilesError::io("create", path, error))?;
    let write_error = |error| FilesError::io("write", path, error);
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| out.write_all(&header))
        .map_err(write_error)?;
    let mut written = 0;
    progress(written, total);
    for info in &infos {
        let tensor = checkpoint.read(&info.name)?;
        out.write_all(&tensor.data).map_err(write_error)?;
        written += tensor.data.len() as u64;
        progress(written, total);
    }
    out.into_inner()
        .map_err(|error| write_error(error.into_error()))?
        .sync_all()
        .map_err(write_error)
}

/// The safetensors header, padded so that the data begins at a multiple of eight bytes.
fn header(checkpoint: &Checkpoint, infos: &[TensorInfo]) -> Result<Vec<u8>, FilesError> {
    let mut position = 0;
    let mut tensors = Vec::with_capacity(infos.len());
    for info in infos {
        let (Some(dtype), Some(bytes)) = (file_dtype(info.dtype), info.byte_len()) else {
            return Err(FilesError::UnsupportedTensorType {
                path: checkpoint.path().to_path_buf(),
                tensor: info.name.clone(),
                kind: info.dtype.to_string(),
            });
        };
        let place = (position, position + bytes);
        position = place.1;
        tensors.push((
            info.name.clone(),
            FileTensorInfo {
                dtype,
                shape: info.shape.clone(),
                data_offsets: place,
            },
        ));
    }
    // mlx-lm marks its files so, and transformers looks at it.
    let marks = HashMap::from([("format".to_owned(), "mlx".to_owned())]);
    let failed = |reason: String| FilesError::malformed(checkpoint.path(), reason);
    let metadata =
        Metadata::new(Some(marks), tensors).map_err(|error| failed(error.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| failed(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// The types in which GGUF tensors are presented, in the file's terms.
const fn file_dtype(dtype: Dtype) -> Option<FileDtype> {
    match dtype {
        Dtype::F32 => Some(FileDtype::F32),
        Dtype::F16 => Some(FileDtype::F16),
        Dtype::BF16 => Some(FileDtype::BF16),
        Dtype::U32 => Some(FileDtype::U32),
        _ => None,
    }
}

fn write_object(object: &Map<String, Value>, path: &Path) -> Result<(), FilesError> {
    let mut text = serde_json::to_vec_pretty(object)
        .map_err(|error| FilesError::io("write", path, error.into()))?;
    text.push(b'\n');
    write_file(path, &text)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FilesError> {
    File::create(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|error| FilesError::io("write", path, error))
}
