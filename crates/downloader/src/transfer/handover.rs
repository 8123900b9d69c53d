//! Handing bytes that have just been written to whoever computes their digest.

use std::collections::VecDeque;

use bytes::Bytes;

/// How many bytes at most wait in memory to be hashed.
const MOST_HANDED_OVER: u64 = 4 << 20;

/// Pieces that have been written, in order, for whoever computes the digest: it need not read them.
#[derive(Debug, Default)]
pub(super) struct Handover {
    pieces: VecDeque<Bytes>,
    /// Where the first of them begins, and where the last one ends.
    start: u64,
    end: u64,
}

impl Handover {
    /// Takes a piece that follows the ones before; `false` if this does not.
    pub(super) fn offer(&mut self, offset: u64, piece: Bytes) -> bool {
        if offset != self.end {
            return false;
        }
        self.end += piece.len() as u64;
        self.pieces.push_back(piece);
        true
    }

    /// Whether whoever brings more should wait first.
    pub(super) fn is_full(&self) -> bool {
        self.end - self.start > MOST_HANDED_OVER
    }

    /// The pieces from `at` on, if they are here. What lies before is of no use any more.
    pub(super) fn take(&mut self, at: u64) -> Option<VecDeque<Bytes>> {
        if at == self.start && !self.pieces.is_empty() {
            self.start = self.end;
            return Some(std::mem::take(&mut self.pieces));
        }
        None
    }

    /// Waits for pieces from `at` on, since everything before is done with.
    pub(super) fn expect(&mut self, at: u64) {
        if at != self.start {
            self.pieces.clear();
            (self.start, self.end) = (at, at);
        }
    }
}
