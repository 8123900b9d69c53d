//! GGML blocks as MLX's affine triplets: the same weights, number for number.
//!
//! MLX computes `w = scale * q + bias` with unsigned `q`, packed into little-endian u32 words
//! from the lowest bit up, one scale and one bias for each group along a row
//! (`mlx.core.quantize`'s documentation). GGML's blocks of 32 are groups of 32:
//!
//! | block | bytes | weight | q | scale | bias |
//! | --- | --- | --- | --- | --- | --- |
//! | `Q4_0` | f16 d, 16 nibble pairs | d (n - 8) | n | d | -8 d |
//! | `Q4_1` | f16 d, f16 m, 16 nibble pairs | d n + m | n | d | m |
//! | `Q8_0` | f16 d, 32 i8 | d i | i + 128 | d | -128 d |
//!
//! In a nibble pair the low half is element `k` and the high half is element `k + 16`.
//! The biases are d times a power of two, so f16 holds them exactly unless they overflow;
//! then scales and biases are given as f32.

use half::f16;

use crate::gguf::GgmlType;

/// Weights that share a scale and a bias.
pub(super) const GROUP_SIZE: usize = 32;

/// A GGML block type that has an affine form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocks {
    Q4_0,
    Q4_1,
    Q8_0,
}

/// A block whose scale or bias is infinite or not a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotFinite {
    pub(super) block: usize,
}

impl Blocks {
    pub(super) const fn of(kind: GgmlType) -> Option<Self> {
        match kind {
            GgmlType::Q4_0 => Some(Self::Q4_0),
            GgmlType::Q4_1 => Some(Self::Q4_1),
            GgmlType::Q8_0 => Some(Self::Q8_0),
            _ => None,
        }
    }

    pub(super) const fn bits(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 => 4,
            Self::Q8_0 => 8,
        }
    }

    const fn block_bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q8_0 => 34,
        }
    }

    /// Appends the packed weights of some blocks.
    pub(super) fn pack_weights(self, blocks: &[u8], out: &mut Vec<u8>) {
        for block in blocks.chunks_exact(self.block_bytes()) {
            match self {
                Self::Q4_0 => pack_nibbles(&block[2..], out),
                Self::Q4_1 => pack_nibbles(&block[4..], out),
                // i + 128 in the lower eight bits is i with its top bit flipped.
                Self::Q8_0 => out.extend(block[2..].iter().map(|byte| byte ^ 0x80)),
            }
        }
    }

    /// Scale and bias of each block.
    fn factors(self, blocks: &[u8]) -> impl Iterator<Item = (f32, f32)> {
        blocks.chunks_exact(self.block_bytes()).map(move |block| {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            let bias = match self {
                Self::Q4_0 => -8.0 * scale,
                Self::Q4_1 => f16::from_le_bytes([block[2], block[3]]).to_f32(),
                Self::Q8_0 => -128.0 * scale,
            };
            (scale, bias)
        })
    }

    /// Whether f16 holds all scales and biases exactly.
    pub(super) fn fit_f16(self, blocks: &[u8]) -> Result<bool, NotFinite> {
        let mut fit = true;
        for (block, (scale, bias)) in self.factors(blocks).enumerate() {
            if !scale.is_finite() || !bias.is_finite() {
                return Err(NotFinite { block });
            }
            fit &= f16::from_f32(bias).to_f32() == bias;
        }
        Ok(fit)
    }

    /// Appends the scales of some blocks, as f16 or f32.
    pub(super) fn push_scales(self, blocks: &[u8], wide: bool, out: &mut Vec<u8>) {
        for (scale, _) in self.factors(blocks) {
            push(scale, wide, out);
        }
    }

    /// Appends the biases of some blocks, as f16 or f32.
    pub(super) fn push_biases(self, blocks: &[u8], wide: bool, out: &mut Vec<u8>) {
        for (_, bias) in self.factors(blocks) {
            push(bias, wide, out);
        }
    }
}

fn push(value: f32, wide: bool, out: &mut Vec<u8>) {
    if wide {
        out.extend(value.to_le_bytes());
    } else {
        out.extend(f16::from_f32(value).to_le_bytes());
    }
}

/// Sixteen bytes of elements (k, k + 16) become sixteen bytes of elements (2 k, 2 k + 1).
fn pack_nibbles(pairs: &[u8], out: &mut Vec<u8>) {
    let (two, _) = pairs.as_chunks::<2>();
    out.extend(two.iter().map(|[even, odd]| (even & 0x0f) | (odd << 4)));
    out.extend(two.iter().map(|[even, odd]| (even >> 4) | (odd & 0xf0)));
}
