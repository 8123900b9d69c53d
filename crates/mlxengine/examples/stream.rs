//! Prints a text as the model writes it, and stops it after a while by dropping the stream.
//!
//! `cargo run -p mlxengine --example stream -- PATH "Once upon a time"`
//!
//! Without a path it reads from the mock, which makes up its answers.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints"
)]

use std::{
    env,
    error::Error,
    io::{self, Write},
};

use futures_util::StreamExt;
use mlxengine::{BackendPolicy, GenerationEvent, InferenceEngine, ModelConfiguration};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (path, policy) = match arguments.next() {
        Some(path) => (path, BackendPolicy::Auto),
        None => ("mock".to_owned(), BackendPolicy::require("mock")),
    };
    let beginning = arguments
        .next()
        .unwrap_or_else(|| "Once upon a time".to_owned());

    futures_executor::block_on(async {
        // The load and its progress are two halves, to be polled side by side.
        let (load, progress) = InferenceEngine::load(ModelConfiguration::from_path(path))
            .backend(policy)
            .progress_stream();
        let show = progress.for_each(|step| async move { eprintln!("{step:?}") });
        let (engine, ()) = futures_util::future::join(load.into_future(), show).await;
        let engine = engine?;

        print!("{beginning}");
        let mut pieces = engine.stream(beginning.as_str(), None)?.take(20);
        while let Some(piece) = pieces.next().await {
            print!("{}", piece?);
            io::stdout().flush()?;
        }
        println!();
        // Dropping the stream cancels: the model stops within one step.
        drop(pieces);

        // The same with all there is to know: prefill, tokens, and a summary at the end.
        let mut events = engine.events(beginning.as_str(), None)?;
        while let Some(event) = events.next().await {
            if let GenerationEvent::Done(summary) = event? {
                println!("{summary:#?}");
            }
        }
        Ok(())
    })
}
