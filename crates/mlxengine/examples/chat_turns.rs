//! Times the turns of a chat: how long each takes until its answer begins.
//!
//! `cargo run --release -p mlxengine --example chat_turns -- MODEL [--turns N] [--answer N]
//! [--threads N] [--without-cache]`
//!
//! Every turn has a question of the same length and an answer of the same length. It prints an
//! array of turns as JSON; `cargo xtask bench chat` reads it.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{error::Error as StdError, time::Instant};

use futures_util::StreamExt as _;
use mlxengine::{
    BackendPolicy, ChatEvent, ChatOptions, ChatSession, GenerateParams, GenerationEvent,
    InferenceEngine, LoadOptions, ModelConfiguration,
};

struct Arguments {
    model: String,
    turns: u32,
    answer: u32,
    threads: Option<u32>,
    cache: bool,
}

fn arguments() -> Result<Arguments, Box<dyn StdError>> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        model: given.next().ok_or("which model?")?,
        turns: 20,
        answer: 32,
        threads: None,
        cache: true,
    };
    while let Some(option) = given.next() {
        let mut number = || -> Result<u32, Box<dyn StdError>> {
            Ok(given.next().ok_or("a number is missing")?.parse()?)
        };
        match option.as_str() {
            "--turns" => arguments.turns = number()?,
            "--answer" => arguments.answer = number()?,
            "--threads" => arguments.threads = Some(number()?),
            "--without-cache" => arguments.cache = false,
            other => return Err(format!("there is no option {other}").into()),
        }
    }
    Ok(arguments)
}

fn main() -> Result<(), Box<dyn StdError>> {
    let arguments = arguments()?;
    futures_executor::block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn StdError>> {
    let options = LoadOptions {
        threads: arguments.threads,
        prompt_cache_bytes: (!arguments.cache).then_some(0),
        ..LoadOptions::default()
    };
    let configuration = ModelConfiguration::from_path(&arguments.model).with_load(options);
    let engine = InferenceEngine::load(configuration)
        .backend(BackendPolicy::Require("cpu".into()))
        .await?;
    let mut params = GenerateParams::greedy().with_max_tokens(arguments.answer);
    params.ignore_eos = true;
    let chat = ChatSession::new(&engine)
        .with_system("You answer briefly.")
        .with_options(ChatOptions::default().with_params(params));
    let mut turns = Vec::new();
    for number in 1..=arguments.turns {
        let question = format!("Tell me one more thing about rivers, please: number {number:02}.");
        let begun = Instant::now();
        let mut first = None;
        let mut stream = chat.send(question);
        while let Some(event) = stream.next().await {
            match event? {
                ChatEvent::Generation(GenerationEvent::Delta { .. }) => {
                    first.get_or_insert_with(|| begun.elapsed());
                }
                ChatEvent::Generation(GenerationEvent::Done(summary)) => {
                    turns.push(serde_json::json!({
                        "prompt_tokens": summary.usage.prompt_tokens,
                        "cached_prompt_tokens": summary.usage.cached_prompt_tokens,
                        "first_token_s": first.unwrap_or_default().as_secs_f64(),
                        "prefill_s": summary.timings.prefill.as_secs_f64(),
                    }));
                }
                _ => {}
            }
        }
    }
    println!("{}", serde_json::Value::from(turns));
    engine.unload().await?;
    Ok(())
}
