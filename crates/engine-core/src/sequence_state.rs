//! A sequence's cache outside of its model, to be written to disk and read again.

use serde::{Deserialize, Serialize};

/// The number type of a [`StateTensor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateType {
    /// Signed 8-bit integers.
    I8,
    /// Signed 16-bit integers.
    I16,
    /// Unsigned 32-bit integers.
    U32,
    /// 16-bit floating point.
    F16,
    /// Brain floating point.
    Bf16,
    /// 32-bit floating point.
    F32,
}

impl StateType {
    /// Bytes of a number.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::F32 => 4,
        }
    }
}

/// A named array of numbers, little-endian, the last dimension side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTensor {
    /// Its name, unique in its state.
    pub name: String,
    /// The type of its numbers.
    pub dtype: StateType,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its numbers: the product of the dimensions times [`StateType::bytes`].
    pub data: Vec<u8>,
}

/// What a sequence's cache holds. Only the model that exported it knows what its tensors mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceState {
    /// Tokens in the sequence.
    pub len: usize,
    /// Its cache.
    pub tensors: Vec<StateTensor>,
}

impl SequenceState {
    /// The tensor of this name, if it has the type and the shape.
    pub fn tensor(&self, name: &str, dtype: StateType, shape: &[usize]) -> Option<&StateTensor> {
        let bytes = shape
            .iter()
            .try_fold(dtype.bytes(), |bytes, size| bytes.checked_mul(*size));
        self.tensors.iter().find(|tensor| {
            tensor.name == name
                && tensor.dtype == dtype
                && tensor.shape == shape
                && Some(tensor.data.len()) == bytes
        })
    }
}

/// The prompts that were written to a file, or read from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptCacheReport {
    /// Prompts, each with its answer.
    pub prompts: u32,
    /// Their tokens.
    pub tokens: u64,
    /// Bytes of the file.
    pub bytes: u64,
}
