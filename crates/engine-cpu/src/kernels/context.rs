//! What attention computes with: pages of the KV cache and queries, as integers with scales.
//!
//! Scores, and sums of weighted values, are sums of products of integers: exact, so that their order
//! does not matter, and twice as many at a time as of f32. A query, a key and a value are rounded to
//! [`MOST`] parts of their largest number, which is as near as halves come to that number, and
//! coarser for those that are small beside it.

use std::{iter::Chain, slice::Chunks};

use super::{LANES, PAGE};

/// The largest integer of queries, and of keys and values in sixteen bits.
const MOST_INTEGER: i16 = 4095;
pub(crate) const MOST: f32 = MOST_INTEGER as f32;

/// The largest weight of a value.
const MOST_WEIGHT: i16 = 8191;
/// What a weight of 1 is where the value's scale is a power of two; otherwise it is up to twice that.
pub(super) const WEIGHT: f32 = MOST_WEIGHT as f32 / 2.0;
pub(super) const UNIT: f32 = 1.0 / WEIGHT;

/// Dimensions whose products with a query's are summed before the sum becomes a floating-point
/// number.
pub(super) const DIMS_TOGETHER: usize = 128;

/// The smallest scale of a query, a key or a value, `2^-60`: beside any other in use, exponentials
/// that are multiplied by it stay normal numbers.
pub(crate) const SMALLEST_SCALE: f32 = f32::from_bits((127 - 60) << 23);

const _: () = {
    let (most, weight) = (MOST_INTEGER as i64, MOST_WEIGHT as i64);
    assert!(
        DIMS_TOGETHER as i64 * most * most <= i32::MAX as i64,
        "no score may overflow"
    );
    assert!(
        PAGE as i64 * weight * most <= i32::MAX as i64,
        "no sum of weighted values may overflow"
    );
};

/// The integers of a page of one head.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Integers<'a> {
    Sixteen(&'a [i16]),
    Eight(&'a [i8]),
}

impl Integers<'_> {
    #[inline]
    pub(super) fn get(&self, index: usize) -> i32 {
        match self {
            Self::Sixteen(integers) => i32::from(integers[index]),
            Self::Eight(integers) => i32::from(integers[index]),
        }
    }
}

/// A page of one head in the cache: integers, and a scale for each position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextPage<'a> {
    pub(crate) integers: Integers<'a>,
    pub(crate) scales: &'a [f32],
}

impl<'a> ContextPage<'a> {
    /// The integers as bytes.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self.integers {
            Integers::Sixteen(integers) => bytemuck::cast_slice(integers),
            Integers::Eight(integers) => bytemuck::cast_slice(integers),
        }
    }

    fn check(&self, head_dim: usize) {
        let count = match self.integers {
            Integers::Sixteen(integers) => integers.len(),
            Integers::Eight(integers) => integers.len(),
        };
        assert_eq!(count, head_dim * PAGE);
        assert_eq!(self.scales.len(), PAGE);
    }
}

/// Lines of memory that will be needed soon, which kernels ask for little by little.
pub(super) struct Lines<'a>(Chain<Chunks<'a, u8>, Chunks<'a, u8>>);

impl<'a> Lines<'a> {
    const BYTES: usize = 64;

    /// Those of a page, or none.
    pub(super) fn of(page: Option<&ContextPage<'a>>) -> Self {
        let (scales, integers) = page.map_or((&[][..], &[][..]), |page| {
            (bytemuck::cast_slice(page.scales), page.bytes())
        });
        Self(
            scales
                .chunks(Self::BYTES)
                .chain(integers.chunks(Self::BYTES)),
        )
    }

    /// Some of them, as many as there are.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> impl Iterator<Item = *const u8> {
        self.0.by_ref().take(count).map(<[u8]>::as_ptr)
    }
}

/// Keys of one head, `[head_dim / 2, PAGE, 2]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyLanes<'a> {
    pub(crate) head_dim: usize,
    pub(crate) page: ContextPage<'a>,
}

impl KeyLanes<'_> {
    /// Panics unless the sizes fit together.
    pub(super) fn check(&self, queries: &RoundedQueries, out: &[f32]) {
        self.page.check(self.head_dim);
        assert_eq!(queries.head_dim, self.head_dim);
        assert!(self.head_dim.is_multiple_of(2));
        assert_eq!(queries.integers.len(), queries.scales.len() * self.head_dim);
        assert_eq!(queries.scales.len() * PAGE, out.len());
    }
}

/// Values of one head, `[PAGE / 2, head_dim, 2]`, of which the first `used` positions are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueRows<'a> {
    pub(crate) head_dim: usize,
    pub(crate) used: usize,
    pub(crate) page: ContextPage<'a>,
}

impl ValueRows<'_> {
    /// Panics unless the sizes fit together.
    pub(super) fn check(&self, softmaxes: &Softmaxes, out: &[f32]) {
        self.page.check(self.head_dim);
        assert!(self.used <= PAGE);
        let queries = softmaxes.units.len();
        assert_eq!(softmaxes.shrink.len(), queries);
        assert_eq!(softmaxes.weights.len(), queries * PAGE);
        assert_eq!(out.len(), queries * self.head_dim);
    }
}

/// Queries of some rows, rounded: `[queries, head_dim]`, and a scale for each.
#[derive(Debug, Default)]
pub(crate) struct RoundedQueries {
    pub(super) head_dim: usize,
    pub(super) integers: Vec<i16>,
    pub(super) scales: Vec<f32>,
}

impl RoundedQueries {
    /// Forgets all queries, to take others.
    pub(crate) fn clear(&mut self, head_dim: usize) {
        self.head_dim = head_dim;
        self.integers.clear();
        self.scales.clear();
    }

    /// Takes one more, as `round` rounds it.
    pub(crate) fn push(&mut self, round: impl FnOnce(&mut [i16]) -> f32) {
        let start = self.integers.len();
        self.integers.resize(start + self.head_dim, 0);
        self.scales.push(round(&mut self.integers[start..]));
    }
}

/// Positions of a page that a query sees: a bit for each, from the lowest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(pub(super) u64);

impl Seen {
    pub(crate) const ALL: Self = Self(u64::MAX);

    /// The positions from `start` on, up to `end`.
    pub(crate) fn between(start: usize, end: usize) -> Self {
        let lowest = |count: usize| {
            if count < PAGE {
                (1u64 << count) - 1
            } else {
                u64::MAX
            }
        };
        Self(lowest(end) & !lowest(start))
    }
}

/// Scores of queries, `[queries, PAGE]`, what each of them sees, and the scales of the page's values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageScores<'a> {
    pub(crate) scores: &'a [f32],
    pub(crate) seen: &'a [Seen],
    pub(crate) scales: &'a [f32],
}

/// The online softmax of some queries (<https://arxiv.org/abs/1805.02867>), to the base 2: page by
/// page the weights of its values, and how what they give is added to what the pages before gave.
///
/// Exponents are relative to the integer above the largest so far, so that changing to another takes
/// exact powers of two.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Softmaxes {
    /// For each query the integer that its exponents are relative to.
    pub(super) maxima: Vec<f32>,
    /// For each query the sum of the exponentials so far, in parts.
    pub(super) sums: Vec<[f32; LANES]>,
    /// Of the last page, `[queries, PAGE]`: the exponentials times the scales of the values, and 0
    /// where nothing is seen.
    pub(super) weights: Vec<i16>,
    /// What the sums of the pages before the last one have to be multiplied by.
    pub(super) shrink: Vec<f32>,
    /// What one is of the last page's sums of integers.
    pub(super) units: Vec<f32>,
}

/// Below all exponents.
pub(super) const LOWEST_MAXIMUM: f32 = -536_870_912.0;

impl Softmaxes {
    /// Begins with some queries that have seen nothing.
    pub(crate) fn begin(&mut self, queries: usize) {
        self.maxima.clear();
        self.maxima.resize(queries, LOWEST_MAXIMUM);
        self.sums.clear();
        self.sums.resize(queries, [0.0; LANES]);
        self.weights.resize(queries * PAGE, 0);
        self.shrink.resize(queries, 1.0);
        self.units.resize(queries, 0.0);
    }

    /// What a query's weighted values are to be divided by.
    pub(crate) fn total(&self, query: usize) -> f32 {
        super::elementwise::total(self.sums[query])
    }

    /// Panics unless the sizes fit together.
    pub(super) fn check(&self, page: &PageScores<'_>) {
        let queries = self.maxima.len();
        assert_eq!(self.sums.len(), queries);
        assert_eq!(self.weights.len(), queries * PAGE);
        assert_eq!(self.shrink.len(), queries);
        assert_eq!(self.units.len(), queries);
        assert_eq!(page.scores.len(), queries * PAGE);
        assert_eq!(page.seen.len(), queries);
        assert_eq!(page.scales.len(), PAGE);
    }
}
