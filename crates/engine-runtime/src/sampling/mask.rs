//! Tokens that a constraint allows: one bit each, in words of 32, lowest first.

#![expect(
    clippy::inline_always,
    reason = "a function is compiled for wide registers only where it is inlined into the dispatch"
)]

use pulp::{Simd, WithSimd};

use super::scan::BLOCK;

/// Tokens in a word.
const WORD: usize = u32::BITS as usize;
/// The bit of each token of a word.
const BITS: [u32; WORD] = {
    let mut bits = [1; WORD];
    let mut token = 0;
    while token < WORD {
        bits[token] <<= token;
        token += 1;
    }
    bits
};

/// Whether any of `count` tokens from `first` on is allowed; both are multiples of 32.
pub(super) fn allows_any(mask: &[u32], first: usize, count: usize) -> bool {
    let words = mask.iter().skip(first / WORD).take(count / WORD);
    words.fold(0, |all, word| all | word) != 0
}

/// Copies the logits of allowed tokens, and rules out those between them. Blocks of which no token is
/// allowed are left as they are in `copy`: they are not looked at.
#[derive(Debug)]
pub(super) struct CopyAllowed<'a> {
    pub(super) copy: &'a mut Vec<f32>,
    pub(super) logits: &'a [f32],
    pub(super) mask: &'a [u32],
}

impl WithSimd for CopyAllowed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.copy.resize(self.logits.len(), f32::NEG_INFINITY);
        let blocks = self.copy.chunks_mut(BLOCK).zip(self.logits.chunks(BLOCK));
        // What lies beyond the mask is not looked at either.
        for ((to, from), words) in blocks.zip(self.mask.chunks(BLOCK / WORD)) {
            if words.iter().all(|word| *word == 0) {
                continue;
            }
            let (parts, rest) = to.as_chunks_mut::<WORD>();
            let (sources, rest_of_logits) = from.as_chunks::<WORD>();
            for (index, (to, from)) in parts.iter_mut().zip(sources).enumerate() {
                copy_word(simd, to, from, words.get(index).copied().unwrap_or(0));
            }
            let word = words.get(parts.len()).copied().unwrap_or(0);
            for ((to, from), bit) in rest.iter_mut().zip(rest_of_logits).zip(BITS) {
                let allowed = word & bit != 0;
                *to = if allowed { *from } else { f32::NEG_INFINITY };
            }
        }
    }
}

#[inline(always)]
fn copy_word<S: Simd>(simd: S, to: &mut [f32; WORD], from: &[f32; WORD], word: u32) {
    let word = simd.splat_u32s(word);
    let ruled_out = simd.splat_f32s(f32::NEG_INFINITY);
    let parts = S::as_mut_simd_f32s(to).0.iter_mut();
    let sources = S::as_simd_f32s(from).0.iter().zip(S::as_simd_u32s(&BITS).0);
    for (to, (from, bits)) in parts.zip(sources) {
        let allowed = simd.equal_u32s(simd.and_u32s(word, *bits), *bits);
        *to = simd.select_f32s(allowed, *from, ruled_out);
    }
}
