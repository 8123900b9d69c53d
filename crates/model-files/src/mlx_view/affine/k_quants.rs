//! Blocks of 256 weights whose groups have scales of few bits, times a half for the block.
//!
//! The layouts are those of `block_q2_K` to `block_q6_K` in ggml's `ggml-common.h`; which bits belong
//! to which weight is in `dequantize_row_q2_K` to `dequantize_row_q6_K` of its `ggml-quants.c`.
//!
//! | block | fields, in bytes | weight | group |
//! | --- | --- | --- | --- |
//! | `Q2_K` | 16 scales (4 + 4 bits), 64 weights, f16 d, f16 dmin | d s n - dmin m | 16 |
//! | `Q3_K` | 32 third bits, 64 weights, 12 scales (6 bits), f16 d | d (s - 32) (n - 4) | 16 |
//! | `Q4_K` | f16 d, f16 dmin, 12 scales (6 + 6 bits), 128 weights | d s n - dmin m | 32 |
//! | `Q5_K` | f16 d, f16 dmin, 12 scales, 32 fifth bits, 128 weights | d s n - dmin m | 32 |
//! | `Q6_K` | 128 low bits, 64 high bits, 16 i8 scales, f16 d | d s (n - 32) | 16 |

use super::{Factors, MOST_GROUPS, half_at};

/// Two-bit weights: of 128 weights each quarter lies in other bits of the same 32 bytes.
fn twos(bytes: &[u8], out: &mut [u8]) {
    for (bytes, out) in bytes.chunks_exact(32).zip(out.chunks_exact_mut(128)) {
        for (quarter, out) in out.chunks_exact_mut(32).enumerate() {
            for (byte, out) in bytes.iter().zip(out) {
                *out = byte >> (2 * quarter) & 3;
            }
        }
    }
}

/// Four-bit weights: of 64 weights the first half lies in the low bits of 32 bytes.
fn fours(bytes: &[u8], out: &mut [u8]) {
    for (bytes, out) in bytes.chunks_exact(32).zip(out.chunks_exact_mut(64)) {
        let (low, high) = out.split_at_mut(32);
        for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
            *low = byte & 15;
            *high = byte >> 4;
        }
    }
}

pub(super) fn unpack_q2(block: &[u8], out: &mut [u8]) {
    twos(&block[16..80], out);
}

pub(super) fn factors_q2(block: &[u8], out: &mut [Factors; MOST_GROUPS]) {
    let (d, dmin) = (half_at(block, 80), half_at(block, 82));
    for (byte, out) in block.iter().zip(out) {
        *out = Factors {
            scale: d * f32::from(byte & 15),
            bias: -(dmin * f32::from(byte >> 4)),
        };
    }
}

pub(super) fn unpack_q3(block: &[u8], out: &mut [u8]) {
    twos(&block[32..96], out);
    // Bit i of these bytes belongs to the i-th 32 weights.
    for (bit, out) in out.chunks_exact_mut(32).enumerate() {
        for (byte, out) in block.iter().zip(out) {
            *out |= (byte >> bit & 1) << 2;
        }
    }
}

pub(super) fn factors_q3(block: &[u8], out: &mut [Factors; MOST_GROUPS]) {
    let d = half_at(block, 108);
    let scales = &block[96..108];
    for (group, out) in out.iter_mut().enumerate() {
        let low = scales[group % 8] >> (group / 8 * 4) & 15;
        let high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        *out = Factors {
            scale,
            bias: -4.0 * scale,
        };
    }
}

pub(super) fn unpack_q4(block: &[u8], out: &mut [u8]) {
    fours(&block[16..144], out);
}

/// Also those of `Q5_K`, which begins alike.
pub(super) fn factors_q4(block: &[u8], out: &mut [Factors; MOST_GROUPS]) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    let packed = &block[4..16];
    for (group, out) in out.iter_mut().enumerate().take(8) {
        let (scale, min) = if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            let both = packed[group + 4];
            let (above_scale, above_min) = (packed[group - 4] >> 6, packed[group] >> 6);
            (both & 15 | above_scale << 4, both >> 4 | above_min << 4)
        };
        *out = Factors {
            scale: d * f32::from(scale),
            bias: -(dmin * f32::from(min)),
        };
    }
}

pub(super) fn unpack_q5(block: &[u8], out: &mut [u8]) {
    fours(&block[48..176], out);
    for (bit, out) in out.chunks_exact_mut(32).enumerate() {
        for (byte, out) in block[16..48].iter().zip(out) {
            *out |= (byte >> bit & 1) << 4;
        }
    }
}

pub(super) fn unpack_q6(block: &[u8], out: &mut [u8]) {
    let (low, rest) = block.split_at(128);
    let halves = low.chunks_exact(64).zip(rest[..64].chunks_exact(32));
    for ((low, high), out) in halves.zip(out.chunks_exact_mut(128)) {
        for (quarter, out) in out.chunks_exact_mut(32).enumerate() {
            let low = &low[quarter % 2 * 32..][..32];
            for ((low, high), out) in low.iter().zip(high).zip(out) {
                let low = low >> (quarter / 2 * 4) & 15;
                *out = low | (high >> (2 * quarter) & 3) << 4;
            }
        }
    }
}

pub(super) fn factors_q6(block: &[u8], out: &mut [Factors; MOST_GROUPS]) {
    let d = half_at(block, 208);
    for (byte, out) in block[192..208].iter().zip(out) {
        let scale = d * f32::from(byte.cast_signed());
        *out = Factors {
            scale,
            bias: -32.0 * scale,
        };
    }
}
