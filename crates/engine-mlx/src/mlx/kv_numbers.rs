//! Keys and values as a cache stores them: as they are, or in eight bits.

use mlx_rs::{
    Array,
    error::Exception,
    ops::{dequantize, quantize, quantized_matmul},
};

use super::exception::MlxResult;

/// Bits of a stored number.
const BITS: i32 = 8;
/// Numbers that share a scale and a bias, of which MLX knows these numbers; the first of which a
/// head is made.
const GROUP_SIZES: [usize; 2] = [64, 32];

/// How a cache stores its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KvForm {
    /// In the compute type.
    Plain,
    /// In eight bits, with a scale and a bias of the compute type for each group of so many.
    Groups(i32),
}

impl KvForm {
    /// Eight bits for heads of this size; `None` if they are not made of whole groups.
    pub(super) fn eight_bits(head_dim: usize) -> Option<Self> {
        let mut sizes = GROUP_SIZES.into_iter();
        let size = sizes.find(|size| head_dim.is_multiple_of(*size))?;
        Some(Self::Groups(size as i32))
    }

    /// Bytes of one head's key, or value, of `head_dim` numbers that are computed with in
    /// `element_bytes`.
    pub(super) fn bytes(self, head_dim: usize, element_bytes: u64) -> u64 {
        let numbers = head_dim as u64;
        match self {
            Self::Plain => numbers * element_bytes,
            Self::Groups(size) => numbers + numbers / size as u64 * 2 * element_bytes,
        }
    }

    /// Numbers `[sequences, kv_heads, positions, head_dim]` as they are stored.
    pub(super) fn store(self, numbers: &Array) -> MlxResult<Stored> {
        match self {
            Self::Plain => Ok(Stored(vec![numbers.clone()])),
            Self::Groups(size) => {
                let (packed, scales, biases) = quantize(numbers, size, BITS)?;
                Ok(Stored(vec![packed, scales, biases]))
            }
        }
    }

    /// Stored numbers as they were, up to rounding.
    pub(super) fn load(self, stored: &Stored) -> MlxResult<Array> {
        match (self, &stored.0[..]) {
            (Self::Plain, [numbers]) => Ok(numbers.clone()),
            (Self::Groups(size), [packed, scales, biases]) => {
                dequantize(packed, scales, biases, size, BITS)
            }
            _ => Err(other_form()),
        }
    }

    /// `x` `[sequences, kv_heads, rows, _]` times the stored matrix of each sequence and head,
    /// transposed or not; `None` where it is not packed.
    pub(super) fn multiply(
        self,
        x: &Array,
        stored: &Stored,
        transposed: bool,
    ) -> MlxResult<Option<Array>> {
        match (self, &stored.0[..]) {
            (Self::Groups(size), [packed, scales, biases]) => {
                quantized_matmul(x, packed, scales, biases, transposed, size, BITS).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Keys or values of all positions, as one array `[sequences, kv_heads, positions, _]` or several
/// that belong together: packed numbers, scales and biases.
#[derive(Clone, Debug)]
pub(super) struct Stored(Vec<Array>);

impl Stored {
    /// The arrays of a store that was made elsewhere.
    pub(super) fn of(arrays: Vec<Array>) -> Self {
        Self(arrays)
    }

    pub(super) fn arrays(&self) -> &[Array] {
        &self.0
    }

    pub(super) fn positions(&self) -> usize {
        self.0.first().map_or(0, |array| array.dim(2) as usize)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|array| array.nbytes() as u64).sum()
    }

    /// The same done to each array.
    pub(super) fn map(&self, each: impl FnMut(&Array) -> MlxResult<Array>) -> MlxResult<Self> {
        let arrays: MlxResult<_> = self.0.iter().map(each).collect();
        arrays.map(Self)
    }

    /// The same done to each array and the one in its place in `other`.
    pub(super) fn zip(
        &self,
        other: &Self,
        mut each: impl FnMut(&Array, &Array) -> MlxResult<Array>,
    ) -> MlxResult<Self> {
        if self.0.len() != other.0.len() {
            return Err(other_form());
        }
        let pairs = self.0.iter().zip(&other.0);
        let arrays: MlxResult<_> = pairs.map(|(one, other)| each(one, other)).collect();
        arrays.map(Self)
    }
}

fn other_form() -> Exception {
    Exception::custom("a KV cache is stored in another form than its layer's")
}

/// Keys and values of a layer's positions.
#[derive(Clone, Debug)]
pub(super) struct KeysAndValues {
    pub(super) keys: Stored,
    pub(super) values: Stored,
}

impl KeysAndValues {
    pub(super) fn positions(&self) -> usize {
        self.keys.positions()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.keys.bytes() + self.values.bytes()
    }

    pub(super) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.keys.arrays().iter().chain(self.values.arrays())
    }

    /// The same done to each array.
    pub(super) fn map(&self, mut each: impl FnMut(&Array) -> MlxResult<Array>) -> MlxResult<Self> {
        Ok(Self {
            keys: self.keys.map(&mut each)?,
            values: self.values.map(&mut each)?,
        })
    }

    /// The same done to each array and the one in its place in `other`.
    pub(super) fn zip(
        &self,
        other: &Self,
        mut each: impl FnMut(&Array, &Array) -> MlxResult<Array>,
    ) -> MlxResult<Self> {
        Ok(Self {
            keys: self.keys.zip(&other.keys, &mut each)?,
            values: self.values.zip(&other.values, &mut each)?,
        })
    }
}
