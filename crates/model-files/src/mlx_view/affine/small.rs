//! Blocks of 32 weights, each with one scale.
//!
//! | block | bytes | weight | q | scale | bias |
//! | --- | --- | --- | --- | --- | --- |
//! | `Q4_0` | f16 d, 16 nibble pairs | d (n - 8) | n | d | -8 d |
//! | `Q4_1` | f16 d, f16 m, 16 nibble pairs | d n + m | n | d | m |
//! | `Q5_0` | f16 d, 32 fifth bits, 16 nibble pairs | d (n - 16) | n | d | -16 d |
//! | `Q5_1` | f16 d, f16 m, 32 fifth bits, 16 nibble pairs | d n + m | n | d | m |
//! | `Q8_0` | f16 d, 32 i8 | d i | i + 128 | d | -128 d |
//!
//! In a nibble pair the low half is element `k` and the high half is element `k + 16`.
//! The biases are d times a power of two, so f16 holds them exactly unless they overflow;
//! then scales and biases are given as f32.

use super::{Factors, half_at};

/// Of `d (q - zero)`.
pub(super) fn centred(block: &[u8], zero: f32) -> Factors {
    let scale = half_at(block, 0);
    Factors {
        scale,
        bias: -zero * scale,
    }
}

/// Of `d q + m`.
pub(super) fn with_minimum(block: &[u8]) -> Factors {
    Factors {
        scale: half_at(block, 0),
        bias: half_at(block, 2),
    }
}

/// Sixteen bytes of elements (k, k + 16) become sixteen bytes of elements (2 k, 2 k + 1).
pub(super) fn pack_nibbles(pairs: &[u8], out: &mut Vec<u8>) {
    let (two, _) = pairs.as_chunks::<2>();
    out.extend(two.iter().map(|[even, odd]| (even & 0x0f) | (odd << 4)));
    out.extend(two.iter().map(|[even, odd]| (even >> 4) | (odd & 0xf0)));
}

/// Four bytes of fifth bits, the lowest first, and sixteen of nibble pairs.
pub(super) fn unpack_fives(bytes: &[u8], out: &mut [u8]) {
    let Some((fifths, pairs)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let fifths = u32::from_le_bytes(*fifths);
    let fifth = |element: usize| ((fifths >> element & 1) as u8) << 4;
    let (first, second) = out.split_at_mut(out.len() / 2);
    for (k, ((pair, low), high)) in pairs.iter().zip(first).zip(second).enumerate() {
        *low = pair & 15 | fifth(k);
        *high = pair >> 4 | fifth(k + 16);
    }
}
