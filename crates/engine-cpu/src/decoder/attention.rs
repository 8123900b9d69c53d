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
    kernels::{Kernels, MOST, PAGE, PageScores, RoundedQueries, Seen, Softmaxes},
    parallel::{Pool, prefetch},
};

/// Queries that go through a page together.
const QUERIES_AT_A_TIME: usize = 48;
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
    query: Vec<f32>,
    queries: RoundedQueries,
    scores: Vec<f32>,
    seen: Vec<Seen>,
    softmaxes: Softmaxes,
    /// The layer, the first row of the sequence and the head whose pages were read last.
    last_read: Option<(usize, usize, usize)>,
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
                    ranges.push(&values[..values.len() / PAGE * used.next_multiple_of(2)]);
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
            let mut head = (vec![0.0; self.head_dim], vec![0; self.head_dim]);
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
        (alone, (head, integers)): (bool, &mut (Vec<f32>, Vec<i16>)),
    ) {
        let most = page.most();
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
            let scale = of.kernels.round(head, most, integers);
            page.write_key(kv_head, place, (integers, scale));
            of.qkv
                .copy_row(row, self.first_value_column() + column, head);
            let scale = of.kernels.round(head, most, integers);
            page.write_value(kv_head, place, (integers, scale));
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
            query,
            queries,
            scores,
            seen: seen_of_page,
            softmaxes,
            last_read,
            ..
        } = scratch;
        query.resize(self.head_dim, 0.0);
        queries.clear(self.head_dim);
        scores.resize(count * PAGE, 0.0);
        softmaxes.begin(count);
        for index in 0..count {
            let row = first_row + index / shared;
            let head = kv_head * shared + index % shared;
            of.qkv.copy_row(row, head * self.head_dim, query);
            if let Some(norm) = &self.query_norm {
                of.kernels.rms_norm(query, &norm.weight, norm.eps);
            }
            of.rope.turn(query, row, of.angles);
            for x in query.iter_mut() {
                // The softmax is to the base 2.
                *x *= self.scale * std::f32::consts::LOG2_E;
            }
            queries.push(|integers| of.kernels.round(query, MOST, integers));
        }
        out.fill(0.0);
        let first_end = part.rows.position + (first_row - part.rows.first) + 1;
        let end_of = |index: usize| first_end + index / shared;
        let start_of = |index: usize| {
            let window = self.window.unwrap_or(usize::MAX);
            end_of(index).saturating_sub(window)
        };
        let (start, end) = (start_of(0), end_of(count - 1));
        // The other queries find the pages near.
        let reading = Some((of.layer, part.rows.first, kv_head));
        let is_first = std::mem::replace(last_read, reading) != reading;
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
            let (keys, values) = (page.keys(kv_head), page.values(kv_head, within(end)));
            let ahead = is_first.then_some(&values.page);
            of.kernels.scores(queries, &keys, ahead, scores);
            seen_of_page.clear();
            if end_of(0) >= begin + PAGE && start_of(count - 1) <= begin {
                seen_of_page.resize(count, Seen::ALL);
            }
            seen_of_page.extend(
                (seen_of_page.len()..count)
                    .map(|index| Seen::between(within(start_of(index)), within(end_of(index)))),
            );
            let scores = PageScores {
                scores,
                seen: seen_of_page,
                scales: values.page.scales,
            };
            of.kernels.softmax_step(&scores, softmaxes);
            let next = pages.get(number + 1);
            let next = next.filter(|_| is_first && begin + PAGE < end);
            let next = next.map(|next| next.keys(kv_head).page);
            of.kernels
                .accumulate(softmaxes, &values, next.as_ref(), out);
        }
        for (query, out) in out.chunks_exact_mut(self.head_dim).enumerate() {
            let factor = softmaxes.total(query).recip();
            for x in out {
                *x *= factor;
            }
        }
    }
}
