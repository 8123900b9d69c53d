//! Loads a model and prints its whole answer.
//!
//! `cargo run -p mlxengine --example generate -- PATH "What is the capital of France?"`
//!
//! Without a path it talks with the mock, which makes up its answers and says so.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints"
)]

use std::{env, error::Error};

use mlxengine::{BackendPolicy, GenerateParams, InferenceEngine, Message, ModelConfiguration};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (path, policy) = match arguments.next() {
        Some(path) => (path, BackendPolicy::Auto),
        None => ("mock".to_owned(), BackendPolicy::require("mock")),
    };
    let question = arguments
        .next()
        .unwrap_or_else(|| "What is the capital of France?".to_owned());

    // Any executor will do; this is the smallest.
    futures_executor::block_on(async {
        let configuration = ModelConfiguration::from_path(path)
            .with_generate(GenerateParams::greedy().with_max_tokens(64));
        let engine = InferenceEngine::load(configuration)
            .backend(policy)
            .progress(|step| eprintln!("{:?}: {:.0} %", step.stage, 100.0 * step.fraction()))
            .await?;
        if engine.is_simulated() {
            eprintln!("(made up: this is the mock)");
        }
        let answer = engine.chat([Message::user(question)], None).await?;
        println!("{}", answer.text.trim());
        eprintln!("{:?}, {:?}", answer.summary.finish, answer.summary.usage);
        engine.unload().await?;
        Ok(())
    })
}
