//! Writes the logits of every position of a text, as f32 in the machine's order.
//!
//! ```sh
//! cargo run --release -p engine-cpu --example score -- MODEL TOKENS OUT [KV]
//! ```
//!
//! `TOKENS` is a file with one window of token ids in each line, separated by spaces; every window
//! is a sequence of its own. `KV` is `f16` or `q8`.

#![allow(clippy::print_stderr, reason = "it is a command")]

use std::{
    env, fs,
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use engine_core::{KvType, LoadRequest, Logits, LogitsWanted, Model, Progress, Run, TokenId};
use engine_cpu::CpuModel;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [model, tokens, out, kv @ ..] = &words[..] else {
        eprintln!("usage: score MODEL TOKENS OUT [f16|q8]");
        return ExitCode::from(2);
    };
    let kv_type = match kv.first().map(String::as_str) {
        Some("q8") => KvType::Q8,
        _ => KvType::F16,
    };
    match score(model, tokens, out, kv_type) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn score(
    model: &str,
    tokens: &str,
    out: &str,
    kv_type: KvType,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut request = LoadRequest::new(model);
    request.options.kv_type = kv_type;
    let mut model = CpuModel::load(&request, &Progress::silent())?;
    let mut out = BufWriter::new(fs::File::create(out)?);
    let mut logits = Logits::new();
    for line in fs::read_to_string(tokens)?.lines() {
        let window = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<TokenId>, _>>()?;
        let sequence = model.open()?;
        for tokens in window.chunks(64) {
            let run = Run {
                sequence,
                tokens,
                logits: LogitsWanted::All,
            };
            model.forward(&[run], &mut logits)?;
            logits
                .rows(0)
                .try_for_each(|row| write_row(&mut out, row))?;
        }
        model.close(sequence)?;
    }
    out.flush()?;
    Ok(())
}

fn write_row(out: &mut impl Write, row: &[f32]) -> io::Result<()> {
    row.iter().try_for_each(|x| out.write_all(&x.to_ne_bytes()))
}
