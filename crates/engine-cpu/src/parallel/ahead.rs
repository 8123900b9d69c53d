//! Memory that is asked for before it is needed.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a prefetch is an instruction")
)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

/// Ranges of memory that an [`Ahead`] has room for.
const RANGES: usize = 12;
/// Steps in which all ranges are asked for, each a part of every range.
const STEPS: usize = 64;
/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Memory that a thread asks for while it waits for the next piece of work, so that the memory does
/// not rest meanwhile.
///
/// It knows addresses only, and may outlive what lies there: a prefetch of what is gone does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    ranges: [Range; RANGES],
    used: usize,
    step: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    start: usize,
    bytes: usize,
}

impl Ahead {
    /// Adds a range; where there is no room for it, nothing.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if let Some(range) = self.ranges.get_mut(self.used).filter(|_| !bytes.is_empty()) {
            *range = Range {
                start: bytes.as_ptr().addr(),
                bytes: bytes.len(),
            };
            self.used += 1;
        }
    }

    /// Becomes `next`, unless that is empty.
    pub(super) fn replace(&mut self, next: Self) {
        if next.used > 0 {
            *self = next;
        }
    }

    /// Asks for the next part of each range, if there is one.
    pub(super) fn step(&mut self) {
        if self.step >= STEPS || self.used == 0 {
            return;
        }
        for Range { start, bytes } in &self.ranges[..self.used] {
            let line = |step: usize| (start + bytes * step / STEPS) / LINE;
            for line in line(self.step)..line(self.step + 1) {
                prefetch_line(line * LINE);
            }
        }
        self.step += 1;
    }
}

/// Asks for memory that is needed at once.
pub(crate) fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(LINE) {
        let address = line.as_ptr().addr();
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing that the program sees.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = address;
    }
}

/// Asks for a line that is needed soon.
#[inline]
fn prefetch_line(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees, and no address makes it fail.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(std::ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
