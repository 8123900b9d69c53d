//! Speed and memory of a model on MLX, as lines of JSON: `cargo xtask bench mlx` runs it beside
//! mlx-lm.
//!
//! A line of standard input is a measurement to make, a line of standard output what came of it.
//! The model is loaded once, on the device that the command line names:
//!
//! ```sh
//! echo '{"prompt": 512, "new": 128, "batch": 1}' | measure MODEL_FOLDER cuda
//! ```
//!
//! A measurement with `prompts`, lists of token ids, answers with the greedy ids instead.

#[cfg(any(target_vendor = "apple", mlx_runtime))]
mod measuring {
    use std::{
        error::Error,
        io::{self, BufRead, Write},
        time::{Duration, Instant},
    };

    use engine_core::{
        DeviceChoice, DeviceInput, DeviceRun, DeviceToken, LoadRequest, Logits, LogitsWanted,
        Model, Progress, Run, SequenceId, TokenId,
    };
    use engine_mlx::MlxModel;
    use serde::Deserialize;
    use serde_json::{Value, json};

    type Outcome<T> = Result<T, Box<dyn Error>>;

    /// Prompt tokens read in one piece, as mlx-lm does it.
    const PREFILL_CHUNK: usize = 2048;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Measurement {
        /// Tokens of each prompt.
        #[serde(default)]
        prompt: usize,
        /// Tokens of each answer.
        new: usize,
        /// Sequences at the same time.
        #[serde(default)]
        batch: usize,
        /// Prompts to answer one after another.
        #[serde(default)]
        prompts: Vec<Vec<TokenId>>,
    }

    pub(super) fn run() -> Outcome<()> {
        let mut arguments = std::env::args_os().skip(1);
        let (Some(folder), Some(device)) = (arguments.next(), arguments.next()) else {
            return Err("usage: measure MODEL_FOLDER auto|metal|cuda|cpu".into());
        };
        let device = device.to_str().ok_or("a device has a plain name")?;
        let device: DeviceChoice = serde_json::from_value(Value::from(device))?;
        let mut request = LoadRequest::new(folder);
        request.options.device = device;
        let start = Instant::now();
        let mut model = MlxModel::load(&request, &Progress::silent())?;
        let memory = model.memory();
        print_line(&json!({
            "load_s": start.elapsed().as_secs_f64(),
            "device": model.info().device,
            "weight_bytes": memory.weight_bytes,
            "active_bytes": memory.active_bytes,
        }))?;
        for line in io::stdin().lock().lines() {
            let measurement: Measurement = serde_json::from_str(&line?)?;
            let result = if measurement.prompts.is_empty() {
                measure(&mut model, &measurement)?
            } else {
                answers(&mut model, &measurement)?
            };
            print_line(&result)?;
        }
        Ok(())
    }

    fn print_line(value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{value}")?;
        out.flush()
    }

    /// The same ids as the script for mlx-lm makes.
    fn prompt(sequence: usize, len: usize) -> Vec<TokenId> {
        (0..len)
            .map(|place| 100 + (place * 7 + sequence * 131) as TokenId % 1000)
            .collect()
    }

    fn measure(model: &mut MlxModel, wanted: &Measurement) -> Outcome<Value> {
        mlx_rs::memory::reset_peak_memory()?;
        let mut first = Vec::new();
        let mut sequences = Vec::new();
        let start = Instant::now();
        let mut to_first = Duration::ZERO;
        for index in 0..wanted.batch {
            let sequence = model.open()?;
            let token = prefill(model, sequence, &prompt(index, wanted.prompt))?;
            sequences.push(sequence);
            first.push(token);
        }
        let mut building = Duration::ZERO;
        let mut waiting = Duration::ZERO;
        let mut decoding = Duration::ZERO;
        let mut tokens = first;
        for step in 0..wanted.new {
            let begun = Instant::now();
            let next = if step + 1 < wanted.new {
                follow(model, &sequences, &tokens)?
            } else {
                Vec::new()
            };
            let built = Instant::now();
            for token in tokens {
                model.read_token(token)?;
            }
            if step == 0 {
                to_first = start.elapsed();
            } else {
                building += built.duration_since(begun);
                waiting += built.elapsed();
                decoding += begun.elapsed();
            }
            tokens = next;
        }
        let memory = model.memory();
        for sequence in sequences {
            model.close(sequence)?;
        }
        let steps = (wanted.new.saturating_sub(1)).max(1) as f64;
        let decoded = wanted.batch as f64 * steps;
        Ok(json!({
            "first_token_s": to_first.as_secs_f64(),
            "prefill_tok_s": (wanted.batch * wanted.prompt) as f64 / to_first.as_secs_f64(),
            "decode_tok_s": decoded / decoding.as_secs_f64(),
            "build_us": building.as_secs_f64() * 1e6 / steps,
            "wait_us": waiting.as_secs_f64() * 1e6 / steps,
            "peak_bytes": memory.peak_bytes,
        }))
    }

    fn prefill(
        model: &mut MlxModel,
        sequence: SequenceId,
        tokens: &[TokenId],
    ) -> Outcome<DeviceToken> {
        let mut logits = Logits::new();
        let mut rest = tokens;
        while rest.len() > PREFILL_CHUNK {
            let (piece, behind) = rest.split_at(PREFILL_CHUNK);
            let run = Run {
                sequence,
                tokens: piece,
                logits: LogitsWanted::None,
            };
            model.forward(&[run], &mut logits)?;
            rest = behind;
        }
        let run = DeviceRun {
            sequence,
            input: DeviceInput::Tokens(rest),
        };
        only(&model.step_greedy(&[run])?)
    }

    fn follow(
        model: &mut MlxModel,
        sequences: &[SequenceId],
        tokens: &[DeviceToken],
    ) -> Outcome<Vec<DeviceToken>> {
        let runs: Vec<_> = sequences
            .iter()
            .zip(tokens)
            .map(|(sequence, token)| DeviceRun {
                sequence: *sequence,
                input: DeviceInput::Chosen(*token),
            })
            .collect();
        Ok(model.step_greedy(&runs)?)
    }

    /// Greedy ids chosen on the device, and for each step the five likeliest tokens by logits that
    /// were computed in one piece.
    fn answers(model: &mut MlxModel, wanted: &Measurement) -> Outcome<Value> {
        let mut answers = Vec::new();
        let mut tops = Vec::new();
        for prompt in &wanted.prompts {
            let sequence = model.open()?;
            let mut token = prefill(model, sequence, prompt)?;
            let mut ids = Vec::new();
            while ids.len() + 1 < wanted.new {
                let next = only(&follow(model, &[sequence], &[token])?)?;
                ids.push(model.read_token(token)?);
                token = next;
            }
            ids.push(model.read_token(token)?);
            model.truncate(sequence, prompt.len() - 1)?;
            let last = &prompt[prompt.len() - 1..];
            let run = Run {
                sequence,
                tokens: &[last, &ids[..ids.len() - 1]].concat(),
                logits: LogitsWanted::All,
            };
            let mut logits = Logits::new();
            model.forward(&[run], &mut logits)?;
            tops.push(logits.rows(0).map(likeliest).collect::<Vec<_>>());
            model.close(sequence)?;
            answers.push(ids);
        }
        Ok(json!({ "ids": answers, "top": tops }))
    }

    fn likeliest(row: &[f32]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        order.truncate(5);
        order
    }

    fn only(tokens: &[DeviceToken]) -> Outcome<DeviceToken> {
        tokens
            .first()
            .copied()
            .ok_or_else(|| "the step chose no token".into())
    }
}

#[cfg(any(target_vendor = "apple", mlx_runtime))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    measuring::run()
}

#[cfg(not(any(target_vendor = "apple", mlx_runtime)))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    Err("MLX is not part of this build: run `cargo xtask setup` first".into())
}
