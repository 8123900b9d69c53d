//! GGUF files as they are: header, metadata, and tensors as blocks of GGML's types.
//!
//! The format is specified at <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//! Versions 2 and 3 are read, in little-endian order.
//! [`Header::parse`] works on bytes alone; [`GgufFile`] joins it with a mapped file.

mod cursor;
mod file;
mod ggml_type;
mod header;
mod value;

pub use file::GgufFile;
pub use ggml_type::GgmlType;
pub use header::{GgufError, GgufTensor, Header};
pub use value::{Array, MetadataValue};

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";
