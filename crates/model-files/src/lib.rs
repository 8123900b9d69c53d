#![doc = include_str!("../README.md")]

mod checkpoint;
mod convert;
mod error;
pub mod gguf;
mod json_file;
mod memory_map;
mod mlx_view;
mod safetensors_folder;
mod sentence_pooling;
mod tensor;
mod text_files;

pub use checkpoint::{Checkpoint, Format};
pub use convert::convert_to_mlx_folder;
pub use error::FilesError;
pub use safetensors_folder::safetensors_header;
pub use sentence_pooling::{PoolingMode, SentencePooling};
pub use tensor::{Dtype, Tensor, TensorInfo};
pub use text_files::{NamedTemplate, TextFiles};
