//! A model's files, opened: one view over folders and GGUF files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    FilesError, Tensor, TensorInfo, TextFiles, gguf,
    json_file::{is_lfs_pointer, missing, read_object},
    mlx_view::MlxView,
    safetensors_folder::SafetensorsFolder,
    sentence_pooling::SentencePooling,
};

/// The form in which a model lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A folder with `config.json` and safetensors files.
    Safetensors,
    /// One GGUF file.
    Gguf,
}

/// A model's files, their headers read and checked, their weights mapped into memory.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    config: Map<String, Value>,
    generation_config: Option<Map<String, Value>>,
    text: TextFiles,
    pooling: Option<SentencePooling>,
    tensors: BTreeMap<String, TensorInfo>,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Safetensors(SafetensorsFolder),
    Gguf(Box<MlxView>),
}

impl Checkpoint {
    /// Opens a folder, or a GGUF file, which is recognised by its content.
    ///
    /// Weights are not read yet, except for a few numbers of some GGUF files.
    ///
    /// # Errors
    ///
    /// Each way in which the files can be incomplete, damaged or of an unknown kind has its
    /// variant of [`FilesError`]. Tensors of types that can't be read are no error here.
    pub fn open(path: &Path) -> Result<Self, FilesError> {
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => FilesError::NotFound {
                path: path.to_path_buf(),
            },
            _ => FilesError::io("examine", path, error),
        })?;
        if metadata.is_dir() {
            Self::open_folder(path)
        } else {
            Self::open_file(path)
        }
    }

    fn open_folder(path: &Path) -> Result<Self, FilesError> {
        let config_path = path.join("config.json");
        let config = read_object(&config_path)?.ok_or_else(|| missing(&config_path, ""))?;
        let (weights, tensors) = SafetensorsFolder::open(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            config,
            generation_config: read_object(&path.join("generation_config.json"))?,
            text: TextFiles::read(path)?,
            pooling: SentencePooling::read(path)?,
            tensors,
            weights: Weights::Safetensors(weights),
        })
    }

    fn open_file(path: &Path) -> Result<Self, FilesError> {
        let mut start = Vec::new();
        File::open(path)
            .and_then(|file| file.take(64).read_to_end(&mut start))
            .map_err(|error| FilesError::io("read", path, error))?;
        if is_lfs_pointer(&start) {
            return Err(FilesError::LfsPointer {
                path: path.to_path_buf(),
            });
        }
        if !start.starts_with(&gguf::MAGIC) {
            return Err(FilesError::UnknownFormat {
                path: path.to_path_buf(),
                reason: "it is a file, but does not begin with \"GGUF\"".to_owned(),
            });
        }
        let (view, described) = MlxView::open(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            config: described.config,
            generation_config: Some(described.generation_config),
            text: described.text,
            pooling: None,
            tensors: described.tensors,
            weights: Weights::Gguf(Box::new(view)),
        })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The form in which the model lies on disk.
    pub const fn format(&self) -> Format {
        match self.weights {
            Weights::Safetensors(_) => Format::Safetensors,
            Weights::Gguf(_) => Format::Gguf,
        }
    }

    /// `config.json`, or for a GGUF file what it would be.
    pub const fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// `generation_config.json`, or for a GGUF file the special tokens' ids.
    pub const fn generation_config(&self) -> Option<&Map<String, Value>> {
        self.generation_config.as_ref()
    }

    /// The tokenizer's files.
    pub const fn text(&self) -> &TextFiles {
        &self.text
    }

    /// How the model embeds texts, if it is made for that.
    pub const fn pooling(&self) -> Option<SentencePooling> {
        self.pooling
    }

    /// What is known of all tensors, in the order of their names.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.tensors.values()
    }

    /// What is known of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// A tensor with its data.
    ///
    /// Safetensors, and unquantized GGUF tensors, are borrowed from the mapped file. Blocks are
    /// repacked at each call. The tensor's own `info` counts: scales and biases of `Q4_0`, `Q5_0` and `Q8_0`
    /// blocks are listed as f16, and are f32 if one of the tensor's biases exceeds f16's range.
    ///
    /// # Errors
    ///
    /// [`FilesError::TensorNotFound`]; [`FilesError::UnsupportedTensorType`] for GGML types
    /// other than F32, F16, BF16, `Q4_0`, `Q4_1`, `Q5_0`, `Q5_1`, `Q8_0` and `Q2_K` to `Q6_K`; [`FilesError::Malformed`] if a block's
    /// scale is not a finite number.
    pub fn read(&self, name: &str) -> Result<Tensor<'_>, FilesError> {
        let info = self.info(name).ok_or_else(|| FilesError::TensorNotFound {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })?;
        match &self.weights {
            Weights::Safetensors(folder) => folder.read(info),
            Weights::Gguf(view) => view.read(info),
        }
    }

    /// Takes a tensor out of this process's memory, if the system knows how.
    ///
    /// For those who copy the weights as they read them and would otherwise hold them twice. The
    /// tensor can be read again.
    pub fn release(&self, name: &str) {
        match &self.weights {
            Weights::Safetensors(folder) => folder.release(name),
            Weights::Gguf(view) => view.release(name),
        }
    }

    /// A tensor's description exactly as [`Checkpoint::read`] will give it.
    pub(crate) fn exact_info(&self, info: &TensorInfo) -> Result<TensorInfo, FilesError> {
        match &self.weights {
            Weights::Safetensors(_) => Ok(info.clone()),
            Weights::Gguf(view) => view.exact_info(info),
        }
    }

    /// Bytes of all tensors that can be read, as they are presented.
    pub fn weight_bytes(&self) -> u64 {
        self.tensors
            .values()
            .filter_map(TensorInfo::byte_len)
            .map(|bytes| bytes as u64)
            .sum()
    }
}
