//! GGML blocks as MLX's affine triplets: the same weights, number for number.
//!
//! MLX computes `w = scale * q + bias` with unsigned `q`, packed into little-endian u32 words
//! from the lowest bit up, one scale and one bias for each group along a row
//! (`mlx.core.quantize`'s documentation). Every GGML type below has that form: [`small`] describes
//! blocks of 32, which are groups of 32, and [`k_quants`] blocks of 256, which are groups of 16 or 32
//! whose scales are themselves products of a half and a whole number.

mod k_quants;
mod small;

use half::f16;

use crate::gguf::GgmlType;

/// The most weights in a block, and the most groups.
const MOST_WEIGHTS: usize = 256;
const MOST_GROUPS: usize = 16;

/// A GGML block type that has an affine form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    non_camel_case_types,
    reason = "the names by which everyone knows them"
)]
pub(super) enum Blocks {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// A block whose scale or bias is infinite or not a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotFinite {
    pub(super) block: usize,
}

/// What a group of weights is multiplied with, and what is added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Factors {
    scale: f32,
    bias: f32,
}

impl Blocks {
    pub(super) const fn of(kind: GgmlType) -> Option<Self> {
        Some(match kind {
            GgmlType::Q4_0 => Self::Q4_0,
            GgmlType::Q4_1 => Self::Q4_1,
            GgmlType::Q5_0 => Self::Q5_0,
            GgmlType::Q5_1 => Self::Q5_1,
            GgmlType::Q8_0 => Self::Q8_0,
            GgmlType::Q2_K => Self::Q2_K,
            GgmlType::Q3_K => Self::Q3_K,
            GgmlType::Q4_K => Self::Q4_K,
            GgmlType::Q5_K => Self::Q5_K,
            GgmlType::Q6_K => Self::Q6_K,
            _ => return None,
        })
    }

    /// Bits of a weight.
    pub(super) const fn bits(self) -> usize {
        match self {
            Self::Q2_K => 2,
            Self::Q3_K => 3,
            Self::Q4_0 | Self::Q4_1 | Self::Q4_K => 4,
            Self::Q5_0 | Self::Q5_1 | Self::Q5_K => 5,
            Self::Q6_K => 6,
            Self::Q8_0 => 8,
        }
    }

    /// Weights that share a scale and a bias.
    pub(super) const fn group_size(self) -> usize {
        match self {
            Self::Q2_K | Self::Q3_K | Self::Q6_K => 16,
            _ => 32,
        }
    }

    /// Whether f16 can't hold the scales: they have more digits.
    pub(super) const fn is_wide(self) -> bool {
        self.weights() == 256
    }

    /// Weights in a block.
    const fn weights(self) -> usize {
        match self {
            Self::Q2_K | Self::Q3_K | Self::Q4_K | Self::Q5_K | Self::Q6_K => 256,
            _ => 32,
        }
    }

    const fn block_bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2_K => 84,
            Self::Q3_K => 110,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
        }
    }

    /// Appends the packed weights of some blocks.
    pub(super) fn pack_weights(self, blocks: &[u8], out: &mut Vec<u8>) {
        let blocks = blocks.chunks_exact(self.block_bytes());
        match self {
            Self::Q4_0 => blocks.for_each(|block| small::pack_nibbles(&block[2..], out)),
            Self::Q4_1 => blocks.for_each(|block| small::pack_nibbles(&block[4..], out)),
            // i + 128 in the lower eight bits is i with its top bit flipped.
            Self::Q8_0 => {
                blocks.for_each(|block| out.extend(block[2..].iter().map(|byte| byte ^ 0x80)));
            }
            _ => {
                let mut weights = [0; MOST_WEIGHTS];
                let weights = &mut weights[..self.weights()];
                for block in blocks {
                    self.unpack(block, weights);
                    pack_bits(weights, self.bits(), out);
                }
            }
        }
    }

    /// A block's weights, one in a byte.
    fn unpack(self, block: &[u8], out: &mut [u8]) {
        match self {
            Self::Q5_0 => small::unpack_fives(&block[2..], out),
            Self::Q5_1 => small::unpack_fives(&block[4..], out),
            Self::Q2_K => k_quants::unpack_q2(block, out),
            Self::Q3_K => k_quants::unpack_q3(block, out),
            Self::Q4_K => k_quants::unpack_q4(block, out),
            Self::Q5_K => k_quants::unpack_q5(block, out),
            Self::Q6_K => k_quants::unpack_q6(block, out),
            Self::Q4_0 | Self::Q4_1 | Self::Q8_0 => {}
        }
    }

    /// Scale and bias of each group of a block.
    fn block_factors(self, block: &[u8]) -> [Factors; MOST_GROUPS] {
        let mut factors = [Factors::default(); MOST_GROUPS];
        match self {
            Self::Q4_0 => factors[0] = small::centred(block, 8.0),
            Self::Q5_0 => factors[0] = small::centred(block, 16.0),
            Self::Q8_0 => factors[0] = small::centred(block, 128.0),
            Self::Q4_1 | Self::Q5_1 => factors[0] = small::with_minimum(block),
            Self::Q2_K => k_quants::factors_q2(block, &mut factors),
            Self::Q3_K => k_quants::factors_q3(block, &mut factors),
            Self::Q4_K | Self::Q5_K => k_quants::factors_q4(block, &mut factors),
            Self::Q6_K => k_quants::factors_q6(block, &mut factors),
        }
        factors
    }

    /// Scale and bias of each group of some blocks.
    fn factors(self, blocks: &[u8]) -> impl Iterator<Item = Factors> {
        let groups = self.weights() / self.group_size();
        blocks
            .chunks_exact(self.block_bytes())
            .flat_map(move |block| self.block_factors(block).into_iter().take(groups))
    }

    /// Whether f16 holds all scales and biases exactly.
    pub(super) fn fit_f16(self, blocks: &[u8]) -> Result<bool, NotFinite> {
        let groups = self.weights() / self.group_size();
        let mut fit = !self.is_wide();
        for (index, Factors { scale, bias }) in self.factors(blocks).enumerate() {
            if !scale.is_finite() || !bias.is_finite() {
                let block = index / groups;
                return Err(NotFinite { block });
            }
            fit &= f16::from_f32(bias).to_f32() == bias;
        }
        Ok(fit)
    }

    /// Appends the scales of some blocks, as f16 or f32.
    pub(super) fn push_scales(self, blocks: &[u8], wide: bool, out: &mut Vec<u8>) {
        for factors in self.factors(blocks) {
            push(factors.scale, wide, out);
        }
    }

    /// Appends the biases of some blocks, as f16 or f32.
    pub(super) fn push_biases(self, blocks: &[u8], wide: bool, out: &mut Vec<u8>) {
        for factors in self.factors(blocks) {
            push(factors.bias, wide, out);
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

/// The half at a place of a block, as f32.
fn half_at(block: &[u8], place: usize) -> f32 {
    match block.get(place..place + 2) {
        Some(&[low, high]) => f16::from_le_bytes([low, high]).to_f32(),
        _ => f32::NAN,
    }
}

/// Appends weights of some bits each, from the lowest bit of the first byte up.
fn pack_bits(weights: &[u8], bits: usize, out: &mut Vec<u8>) {
    let mut pending = 0u32;
    let mut count = 0;
    for weight in weights {
        pending |= u32::from(*weight) << count;
        count += bits;
        while count >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            count -= 8;
        }
    }
}
