//! A slice whose chunks are handed out to the threads of a pool.

#![expect(
    unsafe_code,
    reason = "each thread writes to chunks of its own in one slice"
)]

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::Pool;

/// Chunks that are handed out, each once.
struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    chunk: usize,
    count: usize,
    threads: usize,
    most: usize,
    next: AtomicUsize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: no element is handed out twice, so threads get `&mut T` to different elements.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// The next chunks, and the number of the first.
    ///
    /// Shares shrink with what is left, so that threads finish together although some are slower.
    fn claim(&self) -> Option<(usize, &'a mut [T])> {
        let mut first = self.next.load(Ordering::Relaxed);
        let share = loop {
            let left = self.count.checked_sub(first).filter(|left| *left > 0)?;
            let share = left.div_ceil(self.threads).min(self.most);
            match self.next.compare_exchange_weak(
                first,
                first + share,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break share,
                Err(now) => first = now,
            }
        };
        let begin = first * self.chunk;
        let end = (begin + share * self.chunk).min(self.len);
        // SAFETY: `begin..end` lies within the slice, and `next` hands out no chunk twice.
        let claimed = unsafe { std::slice::from_raw_parts_mut(self.start.add(begin), end - begin) };
        Some((first, claimed))
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
        if data.is_empty() || chunk == 0 {
            return;
        }
        let chunks = Chunks {
            start: data.as_mut_ptr(),
            len: data.len(),
            chunk,
            count: data.len().div_ceil(chunk),
            threads: self.threads(),
            most: most.max(1),
            next: AtomicUsize::new(0),
            borrowed: PhantomData,
        };
        let all = |thread| {
            while let Some((first, claimed)) = chunks.claim() {
                work(thread, first, claimed);
            }
        };
        if chunks.count == 1 || chunks.threads == 1 {
            all(0);
        } else {
            self.offer(&all);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_element_is_worked_on_once(
            len in 0usize..500,
            chunk in 1usize..20,
            most in 1usize..10,
            threads in 1usize..4,
        ) {
            let mut pool = Pool::new(threads).unwrap();
            let mut data = vec![0usize; len];
            pool.for_chunks(&mut data, chunk, most, |_, first, claimed| {
                assert!(claimed.len() <= chunk * most);
                for (i, element) in claimed.iter_mut().enumerate() {
                    *element += first * chunk + i + 1;
                }
            });
            let expected: Vec<usize> = (1..=len).collect();
            prop_assert_eq!(data, expected);
        }
    }
}
