//! A pool of threads for many short pieces of work in a row.
//!
//! A step of a small model has some 150 pieces of a few microseconds each, so handing one over must
//! cost less than a microsecond: threads that have just worked spin for the next piece, then
//! yield, and soon sleep. While no step runs, no core is busy.

#![expect(unsafe_code, reason = "threads that outlive a piece of work borrow it")]

use std::{
    cell::UnsafeCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use engine_core::{Error, Result};

use crate::backend::NAME;

/// How long a thread that waits keeps its core to itself: about twenty microseconds.
const SPINS: u32 = 1000;
/// How long it then offers its core to others before it sleeps.
const YIELDING: Duration = Duration::from_micros(200);

/// A piece of work: called once on each thread with the thread's number.
type Job = *const (dyn Fn(usize) + Sync);

/// Threads that share pieces of work with the thread that owns the pool.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Grows by one with every piece of work, and once more at the end.
    round: Line<AtomicUsize>,
    /// Workers that have not finished the piece.
    running: Line<AtomicUsize>,
    job: UnsafeCell<Option<Job>>,
    ended: AtomicBool,
    panicked: AtomicBool,
    asleep: Vec<Line<AtomicBool>>,
}

/// A cache line of its own, so that threads that wait for one thing don't disturb another.
#[repr(align(128))]
struct Line<T>(T);

// SAFETY: `job` is written only by the owner while no worker runs, which `running` tells it, and
// read by workers only after `round` told them of it.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is to a `Sync` closure that the owner keeps alive while it is read.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of `threads` threads, at least one, of which the calling thread is the first.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let others = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            round: Line(AtomicUsize::new(0)),
            running: Line(AtomicUsize::new(0)),
            job: UnsafeCell::new(None),
            ended: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            asleep: (0..others).map(|_| Line(AtomicBool::new(false))).collect(),
        });
        let mut pool = Self {
            shared,
            workers: Vec::with_capacity(others),
        };
        for worker in 0..others {
            let shared = Arc::clone(&pool.shared);
            let handle = thread::Builder::new()
                .name(format!("{NAME}-{}", worker + 1))
                .spawn(move || work(&shared, worker))
                .map_err(|error| Error::backend(NAME, "start a thread", error))?;
            pool.workers.push(handle);
        }
        Ok(pool)
    }

    /// Threads, the owner included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` once on every thread, with numbers from 0, and returns when all are done.
    pub(crate) fn run(&mut self, job: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() {
            return job(0);
        }
        // SAFETY: only the lifetime changes, and `finished` below waits for all workers before
        // this function returns or unwinds.
        let erased = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(job)
        };
        // SAFETY: no worker runs, so none reads it.
        unsafe { *self.shared.job.get() = Some(std::ptr::from_ref(erased)) };
        self.shared
            .running
            .0
            .store(self.workers.len(), Ordering::Relaxed);
        self.next_round();
        let finished = Finished(&self.shared);
        job(0);
        drop(finished);
        assert!(
            !self.shared.panicked.swap(false, Ordering::Relaxed),
            "a thread of the pool panicked"
        );
    }

    fn next_round(&self) {
        // Sequentially consistent with `asleep`: either the worker sees the round before it
        // sleeps, or its mark is seen here.
        self.shared.round.0.fetch_add(1, Ordering::SeqCst);
        for (asleep, worker) in self.shared.asleep.iter().zip(&self.workers) {
            if asleep.0.load(Ordering::SeqCst) {
                wake(worker.thread());
            }
        }
    }
}

fn wake(thread: &Thread) {
    thread.unpark();
}

/// Waits for all workers when dropped, so that nothing they borrow goes before them.
struct Finished<'a>(&'a Shared);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        let mut spins = 0;
        while self.0.running.0.load(Ordering::Acquire) > 0 {
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.next_round();
        for worker in self.workers.drain(..) {
            // Panics were caught in the thread.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, worker: usize) {
    let mut seen = 0;
    loop {
        seen = wait_for_round_after(seen, shared, worker);
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the owner wrote the job before it began this round, and keeps it and what it
        // borrows until `running` is zero.
        if let Some(job) = unsafe { *shared.job.get() } {
            // SAFETY: as above.
            let job = unsafe { &*job };
            if catch_unwind(AssertUnwindSafe(|| job(worker + 1))).is_err() {
                shared.panicked.store(true, Ordering::Relaxed);
            }
        }
        shared.running.0.fetch_sub(1, Ordering::Release);
    }
}

fn wait_for_round_after(seen: usize, shared: &Shared, worker: usize) -> usize {
    let round = || shared.round.0.load(Ordering::SeqCst);
    for _ in 0..SPINS {
        let now = shared.round.0.load(Ordering::Acquire);
        if now != seen {
            return now;
        }
        std::hint::spin_loop();
    }
    let begun = Instant::now();
    while begun.elapsed() < YIELDING {
        let now = shared.round.0.load(Ordering::Acquire);
        if now != seen {
            return now;
        }
        thread::yield_now();
    }
    if let Some(asleep) = shared.asleep.get(worker) {
        asleep.0.store(true, Ordering::SeqCst);
        while round() == seen {
            thread::park();
        }
        asleep.0.store(false, Ordering::SeqCst);
    }
    round()
}

/// Cores, as far as this process may use them: hardware threads that share a core count once.
pub(crate) fn physical_cores() -> usize {
    let usable = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    num_cpus::get_physical().clamp(1, usable)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_thread_gets_every_piece_once() {
        for threads in 1..=4 {
            let mut pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            let counts: Vec<_> = (0..threads).map(|_| AtomicU32::new(0)).collect();
            for _ in 0..1000 {
                pool.run(&|thread| {
                    counts[thread].fetch_add(1, Ordering::Relaxed);
                });
            }
            let counts: Vec<_> = counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
            assert_eq!(counts, vec![1000; threads]);
        }
    }

    #[test]
    fn a_pool_that_slept_goes_on() {
        let mut pool = Pool::new(3).unwrap();
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(5));
            let count = AtomicU32::new(0);
            pool.run(&|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.load(Ordering::Relaxed), 3);
        }
    }

    #[test]
    fn a_panic_in_a_thread_is_one_in_the_owner_and_the_pool_lives_on() {
        let mut pool = Pool::new(2).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            pool.run(&|thread| assert!(thread == 0, "on purpose"));
        }));
        assert!(panicked.is_err());
        pool.run(&|_| {});
    }
}
