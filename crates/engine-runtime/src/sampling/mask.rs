//! Tokens that a constraint allows: one bit each, in words of 32, lowest first.

use super::scan::BLOCK;

/// Tokens in a word.
const WORD: usize = u32::BITS as usize;

/// Whether any of `count` tokens from `first` on is allowed; both are multiples of 32.
pub(super) fn allows_any(mask: &[u32], first: usize, count: usize) -> bool {
    let words = mask.iter().skip(first / WORD).take(count / WORD);
    words.fold(0, |all, word| all | word) != 0
}

/// Copies the logits of allowed tokens, and rules out those between them. Blocks of which no token is
/// allowed are left as they are in `copy`: they are not looked at.
pub(super) fn copy_allowed(copy: &mut Vec<f32>, logits: &[f32], mask: &[u32]) {
    copy.resize(logits.len(), f32::NEG_INFINITY);
    let blocks = copy.chunks_mut(BLOCK).zip(logits.chunks(BLOCK));
    // What lies beyond the mask is not looked at either.
    for ((to, from), words) in blocks.zip(mask.chunks(BLOCK / WORD)) {
        if words.iter().all(|word| *word == 0) {
            continue;
        }
        let beyond = std::iter::repeat(&0);
        let parts = to.chunks_mut(WORD).zip(from.chunks(WORD));
        for ((to, from), word) in parts.zip(words.iter().chain(beyond)) {
            copy_word(to, from, *word);
        }
    }
}

fn copy_word(to: &mut [f32], from: &[f32], word: u32) {
    match word {
        0 => to.fill(f32::NEG_INFINITY),
        u32::MAX => to.copy_from_slice(from),
        _ => {
            for (bit, (to, from)) in to.iter_mut().zip(from).enumerate() {
                let allowed = word >> bit & 1 == 1;
                *to = if allowed { *from } else { f32::NEG_INFINITY };
            }
        }
    }
}
