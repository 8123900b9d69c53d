//! Measures how fast this machine reads memory, and prints it as one JSON object.
//!
//! ```sh
//! cargo run --release -p engine-cpu --example bandwidth -- --threads 2
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::{env, hint::black_box, process::ExitCode, sync::Barrier, thread, time::Instant};

/// Much more than any cache holds.
const BYTES: usize = 1 << 30;
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let threads = match &words[..] {
        [] => Some(1),
        [flag, count] if flag == "--threads" => count.parse().ok().filter(|count| *count > 0),
        _ => None,
    };
    let Some(threads) = threads else {
        eprintln!("usage: bandwidth [--threads N]");
        return ExitCode::from(2);
    };
    println!(
        "{{\"threads\":{threads},\"read_gb_s\":{:.2}}}",
        best_rate(threads)
    );
    ExitCode::SUCCESS
}

/// The best of some rounds: what the memory can do when nobody else uses it.
fn best_rate(threads: usize) -> f64 {
    let words = vec![1u64; BYTES / 8];
    let share = words.len() / threads;
    let barrier = Barrier::new(threads);
    let rates: Vec<f64> = thread::scope(|scope| {
        let workers: Vec<_> = words
            .chunks_exact(share)
            .take(threads)
            .map(|part| {
                let barrier = &barrier;
                scope.spawn(move || {
                    (0..ROUNDS)
                        .map(|_| {
                            barrier.wait();
                            let begun = Instant::now();
                            black_box(sum(part));
                            barrier.wait();
                            (share * threads * 8) as f64 / begun.elapsed().as_secs_f64()
                        })
                        .fold(0f64, f64::max)
                })
            })
            .collect();
        workers
            .into_iter()
            .filter_map(|worker| worker.join().ok())
            .collect()
    });
    rates.into_iter().fold(0f64, f64::max) / 1e9
}

/// Reads every word, in eight independent sums so that no addition waits for another.
fn sum(words: &[u64]) -> u64 {
    let (lanes, _) = words.as_chunks::<64>();
    let mut sums = [0u64; 64];
    for lane in lanes {
        for (sum, word) in sums.iter_mut().zip(lane) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |total, sum| total.wrapping_add(*sum))
}
