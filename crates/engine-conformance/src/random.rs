//! Pseudo-random numbers that are the same everywhere, so that a failure repeats.

use std::ops::RangeInclusive;

/// `SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014,
/// figure 17.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range; its ends are included.
    pub(crate) fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let choices = (range.end() - range.start()) as u64 + 1;
        range.start() + (self.next() % choices) as usize
    }
}
