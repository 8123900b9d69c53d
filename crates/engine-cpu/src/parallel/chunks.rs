//! A slice whose chunks are handed out to the threads of a pool.

#![expect(
    unsafe_code,
    reason = "each thread writes to chunks of its own in one slice"
)]

use std::{
    marker::PhantomData,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{Ahead, Pool, pool::Line};

/// A thread takes no less of its own share at a time than this part of it.
const PIECES: usize = 8;

/// Chunks that nobody has begun yet, of the share of each thread.
///
/// Shares are the same whenever as many chunks are divided, so that a thread can know what it will
/// be given. It takes its own from the front, one behind the other as they lie in memory; a thread
/// that has none left takes from the back of another's.
#[derive(Debug)]
pub(super) struct Shares(Vec<Line<AtomicU64>>);

impl Shares {
    pub(super) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Line(AtomicU64::new(0))).collect())
    }

    fn divide(&self, count: usize) {
        for (thread, share) in self.0.iter().enumerate() {
            let range = share_of(thread, self.0.len(), count);
            share.0.store(packed(&range), Ordering::Relaxed);
        }
    }

    /// Some chunks, at most `most`, for a thread that was given `given` to begin with.
    fn claim(&self, thread: usize, given: usize, most: usize) -> Option<Range<usize>> {
        let own = self.0.get(thread)?;
        // The pieces shrink, so that a thread that is slower leaves something to be taken.
        let part = |left: usize| left.div_ceil(2).max(given / PIECES);
        let from_front = |left: Range<usize>| {
            let end = left.start + part(left.len()).min(most).min(left.len());
            (left.start..end, end..left.end)
        };
        if let Some(claimed) = take(own, from_front) {
            return Some(claimed);
        }
        let from_back = |left: Range<usize>| {
            let begin = left.end - left.len().div_ceil(2).min(most);
            (begin..left.end, left.start..begin)
        };
        loop {
            let left = |share: &Line<AtomicU64>| unpacked(share.0.load(Ordering::Relaxed)).len();
            let richest = self.0.iter().max_by_key(|share| left(share))?;
            if let Some(claimed) = take(richest, from_back) {
                return Some(claimed);
            }
            if self.0.iter().all(|share| left(share) == 0) {
                return None;
            }
        }
    }
}

/// Divides what is left of a share in what is taken and what stays; `None` if nothing is left.
fn take(
    share: &Line<AtomicU64>,
    divide: impl Fn(Range<usize>) -> (Range<usize>, Range<usize>),
) -> Option<Range<usize>> {
    let mut now = share.0.load(Ordering::Relaxed);
    loop {
        let left = unpacked(now);
        if left.is_empty() {
            return None;
        }
        let (taken, stays) = divide(left);
        match share.0.compare_exchange_weak(
            now,
            packed(&stays),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            Ok(_) => return Some(taken),
            Err(other) => now = other,
        }
    }
}

/// The chunks of `count` that a thread is given to begin with.
pub(crate) fn share_of(thread: usize, threads: usize, count: usize) -> Range<usize> {
    count * thread / threads..count * (thread + 1) / threads
}

fn packed(range: &Range<usize>) -> u64 {
    (range.start as u64) << 32 | range.end as u64
}

fn unpacked(range: u64) -> Range<usize> {
    (range >> 32) as usize..(range & 0xffff_ffff) as usize
}

/// A slice whose chunks are handed out, each once.
struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    chunk: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: no element is handed out twice, so threads get `&mut T` to different elements.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    fn start(&self) -> *mut T {
        self.start
    }

    /// # Safety
    /// The chunks are there, and none is taken twice.
    unsafe fn take(&self, chunks: &Range<usize>) -> &'a mut [T] {
        let begin = chunks.start * self.chunk;
        let end = (chunks.end * self.chunk).min(self.len);
        // SAFETY: `begin..end` lies within the slice, and nobody else has a reference to it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(begin), end - begin) }
    }
}

impl Pool {
    /// Calls `work` with the thread's number, the number of the first chunk and one or more whole
    /// chunks of `data`, until all have been worked on; the last chunk may be shorter.
    ///
    /// No call gets more than `most` chunks.
    pub(crate) fn for_chunks<T: Send>(
        &mut self,
        data: &mut [T],
        chunk: usize,
        most: usize,
        work: impl Fn(usize, usize, &mut [T]) + Sync,
    ) {
        self.for_chunks_then(data, chunk, most, work, |_| Ahead::default());
    }

    /// The same; where threads share the work, each that came calls `then` with its number, once,
    /// when nothing is left, and while it waits, asks the memory for what that returned. One thread
    /// by itself, or with the only chunk, waits for nobody: then `then` is not called.
    pub(crate) fn for_chunks_then<T: Send>(
        &mut self,
        data: &mut [T],
        chunk: usize,
        most: usize,
        work: impl Fn(usize, usize, &mut [T]) + Sync,
        then: impl Fn(usize) -> Ahead + Sync,
    ) {
        if data.is_empty() || chunk == 0 {
            return;
        }
        let (threads, count) = (self.threads(), data.len().div_ceil(chunk));
        // Numbers of chunks take 32 bits.
        assert!(u32::try_from(count).is_ok(), "{count} chunks are too many");
        let most = most.max(1);
        if count == 1 || threads == 1 {
            for (index, some) in data.chunks_mut(chunk.saturating_mul(most)).enumerate() {
                work(0, index * most, some);
            }
            return;
        }
        let chunks = Chunks {
            start: data.as_mut_ptr(),
            len: data.len(),
            chunk,
            borrowed: PhantomData,
        };
        let shares = self.shares();
        shares.divide(count);
        self.offer(&|thread| {
            let given = share_of(thread, threads, count).len();
            while let Some(claimed) = shares.claim(thread, given, most) {
                // SAFETY: all shares together are the chunks of the slice, and `claim` gives none
                // twice.
                let some = unsafe { chunks.take(&claimed) };
                work(thread, claimed.start, some);
            }
            then(thread)
        });
    }
}

/// Some columns of a matrix `[rows, columns]`.
#[derive(Debug)]
pub(crate) struct Columns<'a, T> {
    start: *mut T,
    rows: usize,
    stride: usize,
    range: Range<usize>,
    borrowed: PhantomData<&'a mut [T]>,
}

impl<T> Columns<'_, T> {
    /// The numbers of a row in these columns; none where there is no such row.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [T] {
        if row >= self.rows {
            return &mut [];
        }
        // SAFETY: the row is there, and nobody else has a reference to these columns of it.
        unsafe {
            let first = self.start.add(row * self.stride + self.range.start);
            std::slice::from_raw_parts_mut(first, self.range.len())
        }
    }
}

impl Pool {
    /// Calls `work` with the thread's number and columns `[rows, columns]` of `data`, beginning at a
    /// multiple of `chunk`, until all have been worked on.
    pub(crate) fn for_columns<T: Send>(
        &mut self,
        data: &mut [T],
        columns: usize,
        chunk: usize,
        most: usize,
        work: impl Fn(usize, Range<usize>, &mut Columns<'_, T>) + Sync,
    ) {
        if columns == 0 || chunk == 0 {
            return;
        }
        let rows = data.len() / columns;
        let whole = Chunks {
            start: data.as_mut_ptr(),
            len: data.len(),
            chunk,
            borrowed: PhantomData,
        };
        // One element stands for each chunk of columns.
        let mut chunks = vec![(); columns.div_ceil(chunk)];
        self.for_chunks(&mut chunks, 1, most, |thread, first, claimed| {
            let range = first * chunk..((first + claimed.len()) * chunk).min(columns);
            let mut some = Columns {
                start: whole.start(),
                rows,
                stride: columns,
                range: range.clone(),
                borrowed: PhantomData,
            };
            work(thread, range, &mut some);
        });
    }
}

#[cfg(test)]
mod tests;
