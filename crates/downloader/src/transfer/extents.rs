//! Which bytes of a file are there.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of byte positions, kept as ranges that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extents {
    /// Start to end (exclusive).
    ranges: BTreeMap<u64, u64>,
    total: u64,
}

impl Extents {
    /// How many bytes are there.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Adds a range; what is there already stays.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start, range.end);
        if start >= end {
            return;
        }
        // Everything that begins before the end and reaches the start becomes part of the new range.
        while let Some((&s, &e)) = self.ranges.range(..=end).next_back() {
            if e < start {
                break;
            }
            start = start.min(s);
            end = end.max(e);
            self.ranges.remove(&s);
            self.total -= e - s;
        }
        self.ranges.insert(start, end);
        self.total += end - start;
    }

    /// How many bytes are there without a gap from the beginning.
    pub(crate) fn prefix(&self) -> u64 {
        match self.ranges.first_key_value() {
            Some((0, &end)) => end,
            _ => 0,
        }
    }

    /// The parts of `range` that are not there.
    pub(crate) fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        // The search below would panic on it.
        if range.is_empty() {
            return gaps;
        }
        let mut at = range.start;
        let before = self.ranges.range(..=range.start).next_back();
        let after = self.ranges.range(range.start.saturating_add(1)..range.end);
        for (&start, &end) in before.into_iter().chain(after) {
            if start > at {
                gaps.push(at..start);
            }
            at = at.max(end);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set_of_positions(
            ranges in prop::collection::vec((0u64..60, 0u64..20), 0..20),
            asked in (0u64..60, 0u64..40),
        ) {
            let mut extents = Extents::default();
            let mut there = [false; 100];
            for (start, length) in ranges {
                extents.insert(start..start + length);
                there[start as usize..(start + length) as usize].fill(true);
            }
            let count = there.iter().filter(|&&t| t).count() as u64;
            prop_assert_eq!(extents.total(), count);
            let prefix = there.iter().take_while(|&&t| t).count() as u64;
            prop_assert_eq!(extents.prefix(), prefix);
            let asked = asked.0..asked.0 + asked.1;
            let mut missing = [false; 100];
            for gap in extents.gaps(asked.clone()) {
                prop_assert!(gap.start < gap.end);
                missing[gap.start as usize..gap.end as usize].fill(true);
            }
            for position in 0..100 {
                let expected = asked.contains(&(position as u64)) && !there[position];
                prop_assert_eq!(missing[position], expected, "at {}", position);
            }
        }
    }
}
