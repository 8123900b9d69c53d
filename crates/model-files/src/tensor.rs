//! Tensors as they are presented: a name, a shape, an element type, and bytes.

use std::{borrow::Cow, fmt};

use crate::gguf::GgmlType;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// Booleans, one byte each.
    Bool,
    /// Unsigned bytes.
    U8,
    /// Signed bytes.
    I8,
    /// Unsigned 16-bit integers.
    U16,
    /// Signed 16-bit integers.
    I16,
    /// Unsigned 32-bit integers; packed quantized weights are of this type.
    U32,
    /// Signed 32-bit integers.
    I32,
    /// Unsigned 64-bit integers.
    U64,
    /// Signed 64-bit integers.
    I64,
    /// IEEE half precision.
    F16,
    /// The upper half of an IEEE single.
    BF16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Another type of the safetensors format, by its name there.
    Other(&'static str),
    /// GGML blocks without a counterpart here; reading such a tensor is an error.
    Ggml(GgmlType),
}

impl Dtype {
    /// Bytes of an element; `None` for types that are only listed.
    pub const fn size_of(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Other(_) | Self::Ggml(_) => return None,
        })
    }
}

/// The name that the safetensors format uses, or GGML's.
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bool => "BOOL",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::U16 => "U16",
            Self::I16 => "I16",
            Self::U32 => "U32",
            Self::I32 => "I32",
            Self::U64 => "U64",
            Self::I64 => "I64",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::Other(name) => name,
            Self::Ggml(kind) => return fmt::Display::fmt(kind, f),
        })
    }
}

impl From<safetensors::Dtype> for Dtype {
    fn from(dtype: safetensors::Dtype) -> Self {
        match dtype {
            safetensors::Dtype::BOOL => Self::Bool,
            safetensors::Dtype::U8 => Self::U8,
            safetensors::Dtype::I8 => Self::I8,
            safetensors::Dtype::U16 => Self::U16,
            safetensors::Dtype::I16 => Self::I16,
            safetensors::Dtype::U32 => Self::U32,
            safetensors::Dtype::I32 => Self::I32,
            safetensors::Dtype::U64 => Self::U64,
            safetensors::Dtype::I64 => Self::I64,
            safetensors::Dtype::F16 => Self::F16,
            safetensors::Dtype::BF16 => Self::BF16,
            safetensors::Dtype::F32 => Self::F32,
            safetensors::Dtype::F64 => Self::F64,
            safetensors::Dtype::C64 => Self::Other("C64"),
            safetensors::Dtype::F8_E4M3 => Self::Other("F8_E4M3"),
            safetensors::Dtype::F8_E5M2 => Self::Other("F8_E5M2"),
            safetensors::Dtype::F8_E8M0 => Self::Other("F8_E8M0"),
            safetensors::Dtype::F8_E4M3FNUZ => Self::Other("F8_E4M3FNUZ"),
            safetensors::Dtype::F8_E5M2FNUZ => Self::Other("F8_E5M2FNUZ"),
            safetensors::Dtype::F6_E2M3 => Self::Other("F6_E2M3"),
            safetensors::Dtype::F6_E3M2 => Self::Other("F6_E3M2"),
            safetensors::Dtype::F4 => Self::Other("F4"),
            _ => Self::Other("a newer type"),
        }
    }
}

/// What is known of a tensor without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, as Hugging Face's modeling code would call it.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The type of its elements.
    pub dtype: Dtype,
}

impl TensorInfo {
    /// Bytes of the tensor's data; `None` for types that are only listed.
    pub fn byte_len(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(self.dtype.size_of()?, |bytes, dim| bytes.checked_mul(*dim))
    }
}

/// A tensor with its data: row-major, little endian, of [`TensorInfo::byte_len`] bytes.
///
/// The bytes start wherever the file put them: they need not be aligned to the element's size.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// Name, shape and element type of these bytes. A reader should take the type from
    /// here: see [`Checkpoint::read`](crate::Checkpoint::read).
    pub info: TensorInfo,
    /// The elements, borrowed from the mapped file unless they had to be repacked.
    pub data: Cow<'a, [u8]>,
}
