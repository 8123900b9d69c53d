//! Attention: keys and values go into the cache, queries read them page by page.

use std::sync::Arc;

use super::{
    Linear, Norm, Rope,
    panels::Panels,
    rope::Angles,
    step::{Part, Rows},
};
use crate::{
    cache::Page,
    kernels::{Kernels, PAGE, Seen, SoftmaxState},
    parallel::{Pool, prefetch},
};

/// Queries that go through a page together.
const QUERIES_AT_A_TIME: usize = 24;
/// Rows of one head that a thread takes at a time.
const ROWS_AT_A_TIME: usize = 16;
/// Rows from which writing keys and values is worth handing over.
const APPEND_TOGETHER: usize = 4;
/// Multiplications below which handing pieces over costs more than it saves.
const WORTH_SHARING: usize = 1 << 15;

/// The most pages that are asked for before they are written: the cache has room for no more.
const WRITTEN: usize = 8;

/// Attention with grouped key and value heads.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
    pub(crate) query_norm: Option<Norm>,
    pub(crate) key_norm: Option<Norm>,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) scale: f32,
    /// Positions that a query sees, itself included; all if `None`.
    pub(crate) window: Option<usize>,
}

/// A thread's own memory.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) gate: Vec<f32>,
    pub(super) up: Vec<f32>,
    pub(super) logits: Panels,
    queries: Vec<f32>,
    scores: Vec<f32>,
    shrink: Vec<f32>,
    states: Vec<SoftmaxState>,
}

/// What a layer's attention computes with.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) layer: usize,
    pub(super) rope: &'a Rope,
    pub(super) angles: &'a Angles,
    pub(super) kernels: &'a dyn Kernels,
    /// Queries, keys and values.
    pub(super) qkv: &'a Panels,
}

/// Rows that become the content of one page.
struct Write<'a> {
    page: &'a mut Page,
    first_place: usize,
    first_row: usize,
    rows: usize,
}

impl Attention {
    /// Query heads that share a key and value head.
    pub(super) const fn shared_by(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Where the keys begin among the columns of [`Context::qkv`].
    fn first_key_column(&self) -> usize {
        self.query.matrix.tiles() * crate::kernels::LANES
    }

    fn first_value_column(&self) -> usize {
        self.first_key_column() + self.key.matrix.tiles() * crate::kernels::LANES
    }

    /// The keys and values of the pages that sequences write their next position to: one key is
    /// spread over as many lines as it has numbers, and attention reads them right after.
    pub(super) fn written<'a>(&self, layer: usize, parts: &'a [Part<'_>]) -> Vec<&'a [u8]> {
        let mut ranges = Vec::new();
        for part in parts.iter().take(WRITTEN) {
            let position = part.rows.position;
            let layer = part.sequence.layers.get(layer);
            let page = layer.and_then(|layer| {
                let place = (position / PAGE).checked_sub(layer.given_up())?;
                layer.held().get(place)
            });
            if let Some(page) = page {
                let used = position % PAGE + 1;
                for kv_head in 0..self.kv_heads {
                    ranges.push(page.keys(kv_head).page.bytes());
                    let values = page.values(kv_head, used).page.bytes();
                    ranges.push(&values[..values.len() / PAGE * used]);
                }
            }
        }
        ranges
    }

    /// Puts the keys and values of all rows into the cache.
    pub(super) fn append(&self, pool: &mut Pool, of: &Context<'_>, parts: &mut [Part<'_>]) {
        let mut writes = Vec::new();
        for part in parts {
            let Rows { first, count, .. } = part.rows;
            let start = part.rows.position;
            let mut done = 0;
            let pages = part.sequence.layers.get_mut(of.layer);
            for page in pages
                .into_iter()
                .flat_map(|pages| pages.starting_at(start / PAGE))
            {
                let place = (start + done) % PAGE;
                let rows = (PAGE - place).min(count - done);
                // Nobody else holds it: see `Sequence::reserve`.
                if let Some(page) = Arc::get_mut(page).filter(|_| rows > 0) {
                    writes.push(Write {
                        page,
                        first_place: place,
                        first_row: first + done,
                        rows,
                    });
                }
                done += rows;
            }
        }
        let work = |write: &mut Write<'_>| {
            let mut head = vec![0.0; self.head_dim];
            for row in 0..write.rows {
                self.write_row(
                    of,
                    write.page,
                    write.first_place + row,
                    write.first_row + row,
                    (write.rows == 1, &mut head),
                );
            }
        };
        if of.qkv.rows < APPEND_TOGETHER {
            writes.iter_mut().for_each(work);
        } else {
            pool.for_chunks(&mut writes, 1, 1, |_, _, writes| {
                writes.iter_mut().for_each(work);
            });
        }
    }

    fn write_row(
        &self,
        of: &Context<'_>,
        page: &mut Page,
        place: usize,
        row: usize,
        (alone, head): (bool, &mut [f32]),
    ) {
        for kv_head in 0..self.kv_heads {
            let column = kv_head * self.head_dim;
            if alone {
                // Its lines lie in the second cache, and are written one by one.
                prefetch(page.keys(kv_head).page.bytes());
            }
            of.qkv.copy_row(row, self.first_key_column() + column, head);
            if let Some(norm) = &self.key_norm {
                of.kernels.rms_norm(head, &norm.weight, norm.eps);
            }
            of.rope.turn(head, row, of.angles);
            page.write_key(kv_head, place, head);
            of.qkv
                .copy_row(row, self.first_value_column() + column, head);
            page.write_value(kv_head, place, head);
        }
    }

    /// What all queries see, `[kv_heads, rows, heads / kv_heads, head_dim]`.
    pub(super) fn attend(
        &self,
        pool: &mut Pool,
        of: &Context<'_>,
        parts: &[Part<'_>],
        scratch: &[std::sync::Mutex<Scratch>],
        out: &mut Vec<f32>,
    ) {
        let rows = of.qkv.rows;
        let chunk = self.shared_by() * self.head_dim;
        out.resize(self.kv_heads * rows * chunk, 0.0);
        let work = |thread: usize, first: usize, claimed: &mut [f32]| {
            let Some(scratch) = scratch.get(thread) else {
                return;
            };
            let mut scratch = scratch
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut rest = claimed;
            let mut unit = first;
            while !rest.is_empty() {
                let (kv_head, row) = (unit / rows, unit % rows);
                let Some(part) = parts.iter().find(|part| part.rows.contains(row)) else {
                    return;
                };
                let together = (QUERIES_AT_A_TIME / self.shared_by()).max(1);
                let count = (rest.len() / chunk)
                    .min(part.rows.first + part.rows.count - row)
                    .min(together);
                let (some, others) = rest.split_at_mut(count * chunk);
                self.attend_rows(of, part, kv_head, row, &mut scratch, some);
                unit += count;
                rest = others;
            }
        };
        let seen: usize = parts
            .iter()
            .map(|part| part.rows.count * (part.rows.position + part.rows.count))
            .sum();
        if seen * self.heads * self.head_dim < WORTH_SHARING {
            work(0, 0, out);
        } else {
            pool.for_chunks(out, chunk, ROWS_AT_A_TIME, work);
        }
    }

    /// Some rows' queries of the heads that share `kv_head`.
    fn attend_rows(
        &self,
        of: &Context<'_>,
        part: &Part<'_>,
        kv_head: usize,
        first_row: usize,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let shared = self.shared_by();
        let count = out.len() / self.head_dim;
        let Scratch {
            queries,
            scores,
            shrink,
            states,
            ..
        } = scratch;
        queries.resize(count * self.head_dim, 0.0);
        scores.resize(count * PAGE, 0.0);
        shrink.resize(count, 1.0);
        states.clear();
        states.resize(count, SoftmaxState::EMPTY);
        for (index, query) in queries.chunks_exact_mut(self.head_dim).enumerate() {
            let row = first_row + index / shared;
            let head = kv_head * shared + index % shared;
            of.qkv.copy_row(row, head * self.head_dim, query);
            if let Some(norm) = &self.query_norm {
                of.kernels.rms_norm(query, &norm.weight, norm.eps);
            }
            of.rope.turn(query, row, of.angles);
            for x in query {
                *x *= self.scale;
            }
        }
        out.fill(0.0);
        let first_end = part.rows.position + (first_row - part.rows.first) + 1;
        let seen = |index: usize| {
            let end = first_end + index / shared;
            let start = self.window.map_or(0, |window| end.saturating_sub(window));
            (start, end)
        };
        let (start, end) = (seen(0).0, seen(count - 1).1);
        // The others find the pages near.
        let is_first = first_row == part.rows.first;
        let layer = part.sequence.layers.get(of.layer);
        let (given_up, pages) =
            layer.map_or((0, &[][..]), |layer| (layer.given_up(), layer.held()));
        for (number, page) in pages
            .iter()
            .enumerate()
            .take(end.div_ceil(PAGE) - given_up)
            .skip(start / PAGE - given_up)
        {
            let begin = (given_up + number) * PAGE;
            let within = |position: usize| position.saturating_sub(begin).min(PAGE);
            let values = page.values(kv_head, within(end));
            if is_first {
                of.kernels.prefetch(&values.page);
            }
            of.kernels.scores(queries, &page.keys(kv_head), scores);
            let (rows, _) = scores.as_chunks_mut::<PAGE>();
            for (index, row) in rows.iter_mut().enumerate() {
                let (start, end) = seen(index);
                let seen = Seen {
                    start: within(start),
                    end: within(end),
                };
                shrink[index] = of.kernels.softmax_step(row, seen, &mut states[index]);
            }
            let next = pages.get(number + 1);
            if let Some(next) = next.filter(|_| is_first && begin + PAGE < end) {
                of.kernels.prefetch(&next.keys(kv_head).page);
            }
            of.kernels.accumulate(scores, shrink, &values, out);
        }
        for (out, state) in out.chunks_exact_mut(self.head_dim).zip(states) {
            let factor = state.sum.recip();
            for x in out {
                *x *= factor;
            }
        }
    }
}
