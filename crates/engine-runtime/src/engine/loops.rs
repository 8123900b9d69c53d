//! Finding an answer that repeats itself.

use engine_core::{LoopGuard, TokenId};

/// Watches the tokens of one answer.
///
/// For each length of a piece it counts how many tokens in a row equal the one that many places
/// before, so that a token costs as much as the longest piece, however long the answer is.
#[derive(Debug)]
pub(super) struct Loops {
    guard: LoopGuard,
    /// The last tokens, in a ring.
    recent: Vec<TokenId>,
    seen: usize,
    /// At `length - 1`: tokens in a row that equal the one `length` before.
    equal: Vec<u32>,
}

impl Loops {
    pub(super) fn new(guard: LoopGuard) -> Self {
        Self {
            recent: Vec::with_capacity(guard.longest as usize),
            seen: 0,
            equal: vec![0; guard.longest as usize],
            guard,
        }
    }

    /// Adds a token; the length of the shortest piece that has been repeated often enough.
    pub(super) fn push(&mut self, token: TokenId) -> Option<u32> {
        let size = self.guard.longest as usize;
        let mut found = None;
        for length in 1..=size.min(self.seen) {
            let before = self.recent[(self.seen - length) % size];
            let equal = &mut self.equal[length - 1];
            if before != token {
                *equal = 0;
                continue;
            }
            *equal += 1;
            // The first piece equals none before it.
            let all = *equal + length as u32;
            let is_loop = all / length as u32 >= self.guard.repeats && all >= self.guard.min_tokens;
            if is_loop && found.is_none() {
                found = Some(length as u32);
            }
        }
        if self.recent.len() < size {
            self.recent.push(token);
        } else {
            self.recent[self.seen % size] = token;
        }
        self.seen += 1;
        found
    }
}
