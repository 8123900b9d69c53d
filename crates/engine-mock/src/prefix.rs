//! What the logits are a function of: the tokens before them.

use engine_core::TokenId;

/// A sequence: its tokens, and a hash of each of its beginnings.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    tokens: Vec<TokenId>,
    /// `hashes[n]` belongs to the first `n` tokens, so that cutting needs no recomputation.
    hashes: Vec<u64>,
    /// The longest that it has been since it was empty.
    longest: usize,
}

/// The beginning of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix<'a> {
    pub(crate) tokens: &'a [TokenId],
    pub(crate) hash: u64,
}

impl Sequence {
    pub(crate) fn new() -> Self {
        Self {
            tokens: Vec::new(),
            hashes: vec![0],
            longest: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Bytes that the tokens and their hashes take.
    pub(crate) fn bytes(&self) -> u64 {
        (self.tokens.len() * (size_of::<TokenId>() + size_of::<u64>())) as u64
    }

    pub(crate) fn push(&mut self, token: TokenId) {
        let hash = mix(self.prefix().hash ^ (u64::from(token) + 1));
        self.tokens.push(token);
        self.hashes.push(hash);
        self.longest = self.longest.max(self.tokens.len());
    }

    /// The shortest length, apart from 0, to which it can be cut if only the last `window`
    /// positions are kept.
    pub(crate) fn earliest_cut(&self, window: Option<usize>) -> usize {
        match window {
            Some(window) if self.longest > window => (self.longest - 1).min(self.len()),
            _ => 0,
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
        self.hashes.truncate(len + 1);
        if len == 0 {
            self.longest = 0;
        }
    }

    /// Takes back what was pushed since it had this many tokens, `longest` being what it was then.
    pub(crate) fn undo(&mut self, len: usize, longest: usize) {
        self.truncate(len);
        self.longest = longest;
    }

    /// The longest that it has been since it was empty.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// All of it.
    pub(crate) fn prefix(&self) -> Prefix<'_> {
        Prefix {
            tokens: &self.tokens,
            hash: self.hashes[self.tokens.len()],
        }
    }
}

/// The mixing step of `SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014, figure 17.
pub(crate) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
