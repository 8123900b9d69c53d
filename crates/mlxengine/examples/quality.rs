//! Compares what engine-cpu computes with what MLX computes in f32 from the same file, and prints
//! one JSON object.
//!
//! ```sh
//! cargo run --release -p mlxengine --example quality -- MODEL PROMPTS TEXT TOKENS
//! ```
//!
//! `PROMPTS` is `tests/parity/prompts.json`, `TEXT` a file whose first `TOKENS` tokens are scored.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::process::ExitCode;

#[cfg(any(target_vendor = "apple", mlx_runtime))]
fn main() -> ExitCode {
    match with_mlx::compare() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(any(target_vendor = "apple", mlx_runtime)))]
fn main() -> ExitCode {
    eprintln!("error: built without MLX; run `cargo xtask quality`");
    ExitCode::FAILURE
}

#[cfg(any(target_vendor = "apple", mlx_runtime))]
mod with_mlx {
    //! The comparison.

    use std::{env, error::Error, fs, path::Path};

    use engine_core::{
        ComputeType, DeviceChoice, KvType, LoadRequest, Logits, LogitsWanted, Message, Model,
        Progress, Run, TokenId,
    };
    use engine_cpu::CpuModel;
    use engine_mlx::MlxModel;
    use engine_runtime::{TextPipeline, TextSources};
    use model_files::Checkpoint;
    use serde_json::{Value, json};

    type Outcome<T> = Result<T, Box<dyn Error>>;

    /// Tokens of a sequence whose next tokens are scored.
    const WINDOW: usize = 500;
    /// Tokens whose logits are computed together.
    const PIECE: usize = 50;
    /// Tokens of an answer.
    const ANSWER: usize = 64;

    pub(super) fn compare() -> Outcome<Value> {
        let words: Vec<String> = env::args().skip(1).collect();
        let [model, prompts, text, count] = &words[..] else {
            return Err("usage: quality MODEL PROMPTS TEXT TOKENS".into());
        };
        let checkpoint = Checkpoint::open(Path::new(model))?;
        let pipeline = pipeline(&checkpoint)?;
        let mut tokens = pipeline.encode_prompt(&fs::read_to_string(text)?)?;
        tokens.truncate(count.parse()?);
        let mut request = LoadRequest::new(model);
        request.options.device = DeviceChoice::Cpu;
        request.options.compute = ComputeType::F32;
        let mut mlx = MlxModel::load(&request, &Progress::silent())?;

        let mut subjects = Vec::new();
        for (name, compute, kv_type) in [
            ("as it is by default", ComputeType::Auto, KvType::Auto),
            ("KV cache in 8 bits", ComputeType::Auto, KvType::Q8),
            ("computing in f32", ComputeType::F32, KvType::Auto),
        ] {
            let mut request = LoadRequest::new(model);
            request.options.compute = compute;
            request.options.kv_type = kv_type;
            subjects.push((name, CpuModel::load(&request, &Progress::silent())?));
        }
        let scores = scores(&mut mlx, &mut subjects, &tokens)?;
        let prompts: Vec<Value> = serde_json::from_str(&fs::read_to_string(prompts)?)?;
        let answers = prompts
            .iter()
            .map(|prompt| answer(&mut mlx, &mut subjects[0].1, &pipeline, prompt))
            .collect::<Outcome<Vec<_>>>()?;
        Ok(json!({"tokens": tokens.len(), "scores": scores, "answers": answers}))
    }

    fn pipeline(checkpoint: &Checkpoint) -> Outcome<TextPipeline> {
        let text = checkpoint.text();
        Ok(TextPipeline::new(TextSources {
            tokenizer_json: &text.tokenizer_json,
            tokenizer_config: text.tokenizer_config.as_ref(),
            chat_template: text.chat_template.as_deref(),
            config: Some(checkpoint.config()),
            generation_config: checkpoint.generation_config(),
        })?)
    }

    /// Sums over all positions.
    #[derive(Clone, Copy, Default)]
    struct Sums {
        divergence: f64,
        largest: f64,
        surprise: f64,
        agreements: usize,
    }

    /// Divergence from MLX and perplexity of each subject.
    fn scores(
        mlx: &mut MlxModel,
        subjects: &mut [(&str, CpuModel)],
        tokens: &[TokenId],
    ) -> Outcome<Vec<Value>> {
        let mut sums = vec![Sums::default(); subjects.len()];
        let mut exact_surprise = 0.0;
        let (mut positions, mut predicted) = (0, 0);
        for window in tokens.chunks(WINDOW) {
            let sequence = mlx.open()?;
            let sequences = subjects
                .iter_mut()
                .map(|(_, model)| model.open())
                .collect::<Result<Vec<_>, _>>()?;
            let mut exact = Logits::new();
            let mut ours = vec![Logits::new(); subjects.len()];
            for (piece, tokens) in window.chunks(PIECE).enumerate() {
                let run = |sequence| Run {
                    sequence,
                    tokens,
                    logits: LogitsWanted::All,
                };
                mlx.forward(&[run(sequence)], &mut exact)?;
                for (((_, model), sequence), ours) in
                    subjects.iter_mut().zip(&sequences).zip(&mut ours)
                {
                    model.forward(&[run(*sequence)], ours)?;
                }
                for (row, exact) in exact.rows(0).enumerate() {
                    let exact = log_softmax(exact);
                    let next = window.get(piece * PIECE + row + 1);
                    positions += 1;
                    if let Some(next) = next {
                        predicted += 1;
                        exact_surprise -= exact[*next as usize];
                    }
                    for (ours, sums) in ours.iter().zip(&mut sums) {
                        let ours = log_softmax(ours.rows(0).nth(row).unwrap_or(&[]));
                        let divergence: f64 = exact
                            .iter()
                            .zip(&ours)
                            .map(|(exact, ours)| exact.exp() * (exact - ours))
                            .sum();
                        sums.divergence += divergence;
                        sums.largest = sums.largest.max(divergence);
                        sums.agreements += usize::from(likeliest(&exact) == likeliest(&ours));
                        if let Some(next) = next {
                            sums.surprise -= ours[*next as usize];
                        }
                    }
                }
            }
            mlx.close(sequence)?;
            for ((_, model), sequence) in subjects.iter_mut().zip(sequences) {
                model.close(sequence)?;
            }
        }
        let perplexity = |surprise: f64| (surprise / f64::from(predicted)).exp();
        Ok(subjects
            .iter()
            .zip(sums)
            .map(|((name, _), sums)| {
                json!({
                    "subject": name,
                    "mean_kl": sums.divergence / f64::from(positions),
                    "largest_kl": sums.largest,
                    "perplexity": perplexity(sums.surprise),
                    "mlx_perplexity": perplexity(exact_surprise),
                    "same_likeliest": sums.agreements as f64 / f64::from(positions),
                })
            })
            .collect())
    }

    /// Greedy answers of both, up to where they part.
    fn answer(
        mlx: &mut MlxModel,
        cpu: &mut CpuModel,
        pipeline: &TextPipeline,
        prompt: &Value,
    ) -> Outcome<Value> {
        let tokens = match prompt.get("messages") {
            Some(messages) => {
                let messages: Vec<Message> = serde_json::from_value(messages.clone())?;
                pipeline.encode(&pipeline.render_chat(&messages)?, false)?
            }
            None => pipeline.encode_prompt(prompt["text"].as_str().unwrap_or_default())?,
        };
        let (theirs, ours) = (mlx.open()?, cpu.open()?);
        let (mut exact, mut logits) = (Logits::new(), Logits::new());
        let mut input = tokens;
        let mut equal = 0;
        let mut parted = Value::Null;
        while equal < ANSWER {
            let run = |sequence| Run {
                sequence,
                tokens: &input,
                logits: LogitsWanted::Last,
            };
            mlx.forward(&[run(theirs)], &mut exact)?;
            cpu.forward(&[run(ours)], &mut logits)?;
            let exact = log_softmax(exact.last(0).unwrap_or(&[]));
            let logits = log_softmax(logits.last(0).unwrap_or(&[]));
            let (best, chosen) = (likeliest(&exact), likeliest(&logits));
            if best != chosen {
                // How much likelier MLX finds its own choice than ours, in nats.
                parted = json!(exact[best] - exact[chosen]);
                break;
            }
            equal += 1;
            input = vec![best as TokenId];
            if pipeline.eos_tokens().contains(&input[0]) {
                break;
            }
        }
        mlx.close(theirs)?;
        cpu.close(ours)?;
        Ok(json!({"prompt": prompt["name"], "equal_tokens": equal, "parted_by_nats": parted}))
    }

    fn log_softmax(logits: &[f32]) -> Vec<f64> {
        let most = logits
            .iter()
            .fold(f32::NEG_INFINITY, |most, x| most.max(*x));
        let most = f64::from(most);
        let total: f64 = logits.iter().map(|x| (f64::from(*x) - most).exp()).sum();
        let shift = most + total.ln();
        logits.iter().map(|x| f64::from(*x) - shift).collect()
    }

    fn likeliest(scores: &[f64]) -> usize {
        (0..scores.len())
            .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
            .unwrap_or(0)
    }
}
