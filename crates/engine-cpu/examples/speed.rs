//! Measures a model's speed and prints it as one JSON object.
//!
//! ```sh
//! cargo run --release -p engine-cpu --example speed -- MODEL --threads 2 --prompt 128 --new 64
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::{env, process::ExitCode, time::Instant};

use engine_core::{KvType, LoadRequest, Logits, LogitsWanted, Model, Progress, Result, Run};
use engine_cpu::CpuModel;

/// What to measure.
struct Plan {
    model: String,
    threads: Option<u32>,
    prompt: usize,
    new: usize,
    sequences: usize,
    repeat: usize,
    kv_type: KvType,
}

fn main() -> ExitCode {
    let Some(plan) = plan() else {
        eprintln!(
            "usage: speed MODEL [--threads N] [--prompt TOKENS] [--new TOKENS] [--sequences N] \
             [--repeat N] [--kv f16|q8]"
        );
        return ExitCode::from(2);
    };
    match measure(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}; {}", error.suggestion());
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Option<Plan> {
    let mut words = env::args().skip(1);
    let mut plan = Plan {
        model: words.next()?,
        threads: None,
        prompt: 128,
        new: 64,
        sequences: 1,
        repeat: 3,
        kv_type: KvType::Auto,
    };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--threads" => plan.threads = Some(value.parse().ok()?),
            "--prompt" => plan.prompt = value.parse().ok()?,
            "--new" => plan.new = value.parse().ok()?,
            "--sequences" => plan.sequences = value.parse().ok()?,
            "--repeat" => plan.repeat = value.parse().ok()?,
            "--kv" if value == "q8" => plan.kv_type = KvType::Q8,
            "--kv" if value == "f16" => plan.kv_type = KvType::F16,
            _ => return None,
        }
    }
    Some(plan)
}

fn measure(plan: &Plan) -> Result<()> {
    let mut request = LoadRequest::new(&plan.model);
    request.options.threads = plan.threads;
    request.options.kv_type = plan.kv_type;
    let begun = Instant::now();
    let mut model = CpuModel::load(&request, &Progress::silent())?;
    let load_s = begun.elapsed().as_secs_f64();
    let loaded_rss = status_kib("VmRSS:");
    let vocab = model.info().vocab_size as u32;
    let prompt: Vec<u32> = (0..plan.prompt as u32)
        .map(|i| (100 + i % 1000) % vocab)
        .collect();
    let mut logits = Logits::new();
    let mut prefill = Vec::new();
    let mut decode = Vec::new();
    let mut kv_bytes = 0;
    for _ in 0..plan.repeat {
        let sequences = (0..plan.sequences)
            .map(|_| model.open())
            .collect::<Result<Vec<_>>>()?;
        let mut next = Vec::new();
        for sequence in &sequences {
            let begun = Instant::now();
            for piece in prompt.chunks(512) {
                let run = Run {
                    sequence: *sequence,
                    tokens: piece,
                    logits: LogitsWanted::Last,
                };
                model.forward(&[run], &mut logits)?;
            }
            prefill.push(plan.prompt as f64 / begun.elapsed().as_secs_f64());
            next.push([likeliest(logits.last(0).unwrap_or(&[]))]);
        }
        let begun = Instant::now();
        for _ in 0..plan.new {
            let runs: Vec<_> = sequences
                .iter()
                .zip(&next)
                .map(|(sequence, token)| Run {
                    sequence: *sequence,
                    tokens: token,
                    logits: LogitsWanted::Last,
                })
                .collect();
            model.forward(&runs, &mut logits)?;
            for (index, token) in next.iter_mut().enumerate() {
                *token = [likeliest(logits.last(index).unwrap_or(&[]))];
            }
        }
        let tokens = plan.new * plan.sequences;
        decode.push(tokens as f64 / begun.elapsed().as_secs_f64());
        kv_bytes = model.memory().kv_bytes;
        for sequence in sequences {
            model.close(sequence)?;
        }
    }
    println!(
        "{{\"device\":{:?},\"threads\":{},\"load_s\":{load_s:.3},\"weight_bytes\":{},\
         \"kv_bytes\":{kv_bytes},\"loaded_rss_kib\":{loaded_rss},\"peak_rss_kib\":{},\
         \"prompt\":{},\"new\":{},\"sequences\":{},\"prefill_tok_s\":{:.2},\"decode_tok_s\":{:.2}}}",
        model.info().device,
        model.threads(),
        model.info().weight_bytes,
        status_kib("VmHWM:"),
        plan.prompt,
        plan.new,
        plan.sequences,
        median(&mut prefill),
        median(&mut decode),
    );
    Ok(())
}

/// The first of the largest logits.
fn likeliest(logits: &[f32]) -> u32 {
    const BLOCK: usize = 256;
    let mut best = (0, f32::NEG_INFINITY);
    for (block, logits) in logits.chunks(BLOCK).enumerate() {
        // In lanes, since a vocabulary one by one takes as long as a layer.
        let mut lanes = [f32::NEG_INFINITY; 32];
        for some in logits.chunks(lanes.len()) {
            for (lane, logit) in lanes.iter_mut().zip(some) {
                *lane = if *logit > *lane { *logit } else { *lane };
            }
        }
        let largest = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
        if largest > best.1 {
            best = (block, largest);
        }
    }
    let block = logits.chunks(BLOCK).nth(best.0).unwrap_or(&[]);
    let place = block.iter().position(|logit| *logit == best.1);
    (best.0 * BLOCK + place.unwrap_or(0)) as u32
}

fn median(runs: &mut [f64]) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs.get(runs.len() / 2).copied().unwrap_or(0.0)
}

/// A figure of `/proc/self/status`; 0 where there is none.
fn status_kib(field: &str) -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        })
        .unwrap_or(0)
}
