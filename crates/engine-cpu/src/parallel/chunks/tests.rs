//! Work divided among threads: all of it, and each part once.

use std::{
    sync::atomic::AtomicUsize,
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;

/// What a thread does between two looks at what is left.
#[derive(Clone, Copy, Debug)]
enum Delay {
    None,
    Yields(u8),
    Sleeps(Duration),
}

impl Delay {
    fn pass(self) {
        match self {
            Self::None => {}
            Self::Yields(count) => (0..count).for_each(|_| thread::yield_now()),
            Self::Sleeps(duration) => thread::sleep(duration),
        }
    }
}

fn delay() -> impl Strategy<Value = Delay> {
    prop_oneof![
        4 => Just(Delay::None),
        2 => (1..20u8).prop_map(Delay::Yields),
        1 => (1..300u64).prop_map(|micros| Delay::Sleeps(Duration::from_micros(micros))),
    ]
}

/// Waits until that is so, a minute at the most, and says whether it came to be.
fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        thread::yield_now();
    }
    true
}

proptest! {
    #[test]
    fn every_column_of_every_row_is_worked_on_once(
        rows in 0usize..5,
        columns in 1usize..100,
        chunk in 1usize..20,
        threads in 1usize..4,
    ) {
        let mut pool = Pool::new(threads).unwrap();
        let mut data = vec![0usize; rows * columns];
        pool.for_columns(&mut data, columns, chunk, 2, |_, range, some| {
            assert!(range.start.is_multiple_of(chunk) && range.len() <= 2 * chunk);
            assert!(some.row_mut(rows).is_empty());
            for row in 0..rows {
                for (element, column) in some.row_mut(row).iter_mut().zip(range.clone()) {
                    *element += row * columns + column + 1;
                }
            }
        });
        let expected: Vec<usize> = (1..=rows * columns).collect();
        prop_assert_eq!(data, expected);
    }

    #[test]
    fn shares_are_all_chunks_in_order(count in 0usize..100, threads in 1usize..9) {
        let shares = (0..threads).map(|thread| share_of(thread, threads, count));
        let all: Vec<usize> = shares.flatten().collect();
        prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
    }

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

    #[test]
    fn in_whatever_order_threads_claim_each_chunk_is_given_out_once(
        count in 0usize..300,
        threads in 1usize..6,
        most in prop_oneof![1usize..10, Just(usize::MAX)],
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let shares = Shares::new(threads);
        // What a round leaves behind must not matter to the next.
        for _ in 0..2 {
            shares.divide(count);
            let mut given_out = vec![0; count];
            for thread in order.iter().cycle().map(|index| index.index(threads)) {
                let given = share_of(thread, threads, count).len();
                let Some(claimed) = shares.claim(thread, given, most) else {
                    break;
                };
                prop_assert!(!claimed.is_empty() && claimed.len() <= most);
                for chunk in claimed {
                    given_out[chunk] += 1;
                }
            }
            prop_assert!(given_out.iter().all(|times| *times == 1), "{given_out:?}");
        }
    }

    #[test]
    fn at_whatever_speed_threads_work_each_chunk_is_worked_on_once(
        len in 1usize..400,
        chunk in 1usize..4,
        most in 1usize..10,
        threads in 1usize..5,
        delays in prop::collection::vec(delay(), 1..30),
    ) {
        let mut pool = Pool::new(threads).unwrap();
        for round in 0..3 {
            let mut data = vec![0usize; len];
            let counts = || (0..threads).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>();
            let (worked, called) = (counts(), counts());
            let pass = |number: usize| delays[(number + round) % delays.len()].pass();
            pool.for_chunks_then(
                &mut data,
                chunk,
                most,
                |thread, first, claimed| {
                    pass(3 * first + thread);
                    worked[thread].fetch_add(1, Ordering::Relaxed);
                    for (i, element) in claimed.iter_mut().enumerate() {
                        *element += first * chunk + i + 1;
                    }
                    pass(5 * first + thread);
                },
                |thread| {
                    called[thread].fetch_add(1, Ordering::Relaxed);
                    pass(thread);
                    // It is gone when the thread asks for it.
                    let gone = vec![0; 1000];
                    let mut ahead = Ahead::default();
                    ahead.add(&gone);
                    ahead
                },
            );
            prop_assert_eq!(data, (1..=len).collect::<Vec<_>>());
            let shared = threads > 1 && len > chunk;
            for (thread, (worked, called)) in worked.into_iter().zip(called).enumerate() {
                let (worked, called) = (worked.into_inner(), called.into_inner());
                prop_assert!(called <= usize::from(shared));
                if shared && (worked > 0 || thread == 0) {
                    prop_assert_eq!(called, 1, "by thread {}", thread);
                }
            }
        }
    }
}

/// One thread stands still in its first chunks until all others are done: what was left of its share
/// is done by the other threads.
#[test]
fn what_a_thread_does_not_come_to_is_taken_by_others() {
    const COUNT: usize = 200;
    for threads in 2..=4 {
        let mut pool = Pool::new(threads).unwrap();
        for slow in 0..threads {
            let mut data = vec![0usize; COUNT];
            let (begun, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |thread: usize, _: usize, claimed: &mut [usize]| {
                if thread == slow {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let others = COUNT - claimed.len();
                    assert!(wait_until(|| done.load(Ordering::Relaxed) == others));
                } else {
                    assert!(wait_until(|| begun.load(Ordering::Relaxed) > 0));
                }
                claimed.fill(thread + 1);
                done.fetch_add(claimed.len(), Ordering::Relaxed);
            };
            pool.for_chunks(&mut data, 1, usize::MAX, work);
            assert_eq!(begun.into_inner(), 1, "{slow} of {threads}");
            let own = data.iter().filter(|by| **by == slow + 1).count();
            assert!(own > 0 && own < COUNT / threads, "{own} of {slow}");
            assert!(data.iter().all(|by| *by > 0));
        }
    }
}
