//! A pool of threads for many short pieces of work in a row.
//!
//! A step of a small model has some 150 pieces of a few microseconds each, so offering one must cost
//! less than a microsecond: threads that have just worked spin for the next piece, then yield, and
//! soon sleep. While no step runs, no core is busy. A thread that comes late, because it sleeps or
//! because the system has given its core to somebody else, finds the piece withdrawn: nobody waits
//! for threads that have not begun.

#![expect(unsafe_code, reason = "threads that outlive a piece of work borrow it")]

use std::{
    cell::UnsafeCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use engine_core::{Error, Result};

use super::{Ahead, chunks::Shares};
use crate::backend::NAME;

/// How long a thread that waits keeps its core to itself: about twenty microseconds.
const SPINS: u32 = 1000;
/// How long it then offers its core to others before it sleeps.
const YIELDING: Duration = Duration::from_micros(200);

/// Set in [`Shared::gate`] while a piece of work is offered.
const OPEN: u64 = 1 << 31;
/// One round in [`Shared::gate`]. Below [`OPEN`] threads that are at work are counted.
const ROUND: u64 = 1 << 32;

/// A piece of work: called with the thread's number, it says what the thread may ask the memory for
/// until the next one.
type Piece<'a> = dyn Fn(usize) -> Ahead + Sync + 'a;
/// The same as the threads see it.
type Job = *const Piece<'static>;

/// Threads that share pieces of work with the thread that owns the pool.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    shares: Arc<Shares>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The number of the round, whether it is open, and how many workers are at work.
    gate: Line<AtomicU64>,
    job: Line<UnsafeCell<Option<Job>>>,
    ended: AtomicBool,
    panicked: AtomicBool,
    asleep: Vec<Line<AtomicBool>>,
}

/// A cache line of its own, so that threads that wait for one thing don't disturb another.
#[repr(align(128))]
#[derive(Debug)]
pub(super) struct Line<T>(pub(super) T);

// SAFETY: `job` is written only by the owner while the gate is closed and no worker is at work, and
// read only by workers that passed the open gate.
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
            gate: Line(AtomicU64::new(0)),
            job: Line(UnsafeCell::new(None)),
            ended: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            asleep: (0..others).map(|_| Line(AtomicBool::new(false))).collect(),
        });
        let mut pool = Self {
            shared,
            shares: Arc::new(Shares::new(others + 1)),
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

    /// What [`Pool::for_chunks`] divides.
    pub(super) fn shares(&self) -> Arc<Shares> {
        Arc::clone(&self.shares)
    }

    /// Runs `job` on this thread, as number 0, and meanwhile offers it once to every other thread.
    /// Returns when all that began are done.
    pub(crate) fn offer(&mut self, job: &Piece<'_>) {
        if self.workers.is_empty() {
            job(0);
            return;
        }
        // SAFETY: only the lifetime changes: `withdrawn` below closes the gate and waits for all
        // workers that passed it before this function returns or unwinds.
        let lasting = unsafe { std::mem::transmute::<&Piece<'_>, &'static Piece<'static>>(job) };
        // SAFETY: the gate is closed and no worker is at work, so nobody reads it.
        unsafe { *self.shared.job.0.get() = Some(std::ptr::from_ref(lasting)) };
        self.open_gate();
        let mut withdrawn = Withdrawn {
            shared: &self.shared,
            ahead: Ahead::default(),
        };
        withdrawn.ahead = job(0);
        drop(withdrawn);
        assert!(
            !self.shared.panicked.swap(false, Ordering::Relaxed),
            "a thread of the pool panicked"
        );
    }

    fn open_gate(&self) {
        // Sequentially consistent with `asleep`: either a worker sees the gate before it sleeps,
        // or its mark is seen here.
        self.shared.gate.0.fetch_add(ROUND | OPEN, Ordering::SeqCst);
        for (asleep, worker) in self.shared.asleep.iter().zip(&self.workers) {
            if asleep.0.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

/// Closes the gate when dropped, and waits for the workers that passed it, so that nothing they
/// borrow goes before them.
struct Withdrawn<'a> {
    shared: &'a Shared,
    ahead: Ahead,
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        let gate = &self.shared.gate.0;
        let mut state = gate.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while state & (OPEN - 1) != 0 {
            if spins < SPINS {
                spins += 1;
                self.ahead.step();
                std::hint::spin_loop();
            } else {
                thread::yield_now();
            }
            state = gate.load(Ordering::Acquire);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.open_gate();
        for worker in self.workers.drain(..) {
            // A sleeper may have been missed if it went to sleep just now.
            worker.thread().unpark();
            // Panics were caught in the thread.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, worker: usize) {
    let mut seen = 0;
    let mut ahead = Ahead::default();
    loop {
        let state = wait_for_round_after(seen, shared, worker, &mut ahead);
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let entered =
            shared
                .gate
                .0
                .compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed);
        if entered.is_err() {
            // Closed, or another worker entered first: look again.
            continue;
        }
        seen = state / ROUND;
        // SAFETY: the owner wrote the job before it opened the gate, and keeps it and what it
        // borrows until the workers that entered have left.
        if let Some(job) = unsafe { *shared.job.0.get() } {
            // SAFETY: as above.
            let job = unsafe { &*job };
            match catch_unwind(AssertUnwindSafe(|| job(worker + 1))) {
                Ok(next) => ahead.replace(next),
                Err(_) => shared.panicked.store(true, Ordering::Relaxed),
            }
        }
        shared.gate.0.fetch_sub(1, Ordering::Release);
    }
}

/// The gate's state when a round after `seen` is open.
fn wait_for_round_after(seen: u64, shared: &Shared, worker: usize, ahead: &mut Ahead) -> u64 {
    let open = |order| {
        let state = shared.gate.0.load(order);
        (state & OPEN != 0 && state / ROUND != seen).then_some(state)
    };
    for _ in 0..SPINS {
        if let Some(state) = open(Ordering::Acquire) {
            return state;
        }
        ahead.step();
        std::hint::spin_loop();
    }
    let begun = Instant::now();
    while begun.elapsed() < YIELDING {
        if let Some(state) = open(Ordering::Acquire) {
            return state;
        }
        thread::yield_now();
    }
    let asleep = shared.asleep.get(worker);
    loop {
        if let Some(asleep) = asleep {
            asleep.0.store(true, Ordering::SeqCst);
        }
        let state = open(Ordering::SeqCst);
        if state.is_none() {
            thread::park();
        }
        if let Some(state) = state.or_else(|| open(Ordering::SeqCst)) {
            if let Some(asleep) = asleep {
                asleep.0.store(false, Ordering::SeqCst);
            }
            return state;
        }
        if shared.ended.load(Ordering::SeqCst) {
            return shared.gate.0.load(Ordering::SeqCst);
        }
        // Woken for a round that is over: the next one comes soon.
        if let Some(asleep) = asleep {
            asleep.0.store(false, Ordering::SeqCst);
        }
        let begun = Instant::now();
        while begun.elapsed() < YIELDING {
            if let Some(state) = open(Ordering::Acquire) {
                return state;
            }
            thread::yield_now();
        }
    }
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
    fn a_piece_is_done_by_its_owner_and_at_most_once_by_each_other_thread() {
        for threads in 1..=4 {
            let mut pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            for _ in 0..1000 {
                let counts: Vec<_> = (0..threads).map(|_| AtomicU32::new(0)).collect();
                pool.offer(&|thread| {
                    counts[thread].fetch_add(1, Ordering::Relaxed);
                    Ahead::default()
                });
                let counts: Vec<_> = counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
                assert_eq!(counts[0], 1);
                assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
            }
        }
    }

    #[test]
    fn all_threads_help_with_a_piece_that_takes_time() {
        let mut pool = Pool::new(3).unwrap();
        for _ in 0..3 {
            // By now they sleep.
            thread::sleep(Duration::from_millis(5));
            let count = AtomicU32::new(0);
            let deadline = Instant::now() + Duration::from_mins(1);
            pool.offer(&|_| {
                count.fetch_add(1, Ordering::Relaxed);
                while count.load(Ordering::Relaxed) < 3 && Instant::now() < deadline {
                    thread::yield_now();
                }
                Ahead::default()
            });
            assert_eq!(count.load(Ordering::Relaxed), 3);
        }
    }

    #[test]
    fn a_panic_in_a_thread_is_one_in_the_owner_and_the_pool_lives_on() {
        let mut pool = Pool::new(2).unwrap();
        let reached = AtomicBool::new(false);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            pool.offer(&|thread| {
                if thread == 0 {
                    while !reached.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                } else {
                    reached.store(true, Ordering::Relaxed);
                    panic!("on purpose");
                }
                Ahead::default()
            });
        }));
        assert!(panicked.is_err());
        pool.offer(&|_| Ahead::default());
    }
}
