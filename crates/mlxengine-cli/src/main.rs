//! The `mlxengine` command.

mod answer;
mod args;
mod backends;
mod chat;
mod completions;
mod failure;
mod generate;
mod interrupt;
mod load;
mod logging;
mod login;
mod messages;
mod models;
mod note;
mod output;
mod pull;
mod report;
mod store;
mod table;
mod thoughts;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    logging::start(cli.log.as_deref())?;
    match cli.command {
        Command::Generate(args) => block_on(generate::run(*args)),
        Command::Chat(args) => block_on(chat::run(*args)),
        Command::Pull(args) => block_on(pull::run(args)),
        Command::Models(args) => block_on(models::run(args)),
        Command::Login(args) => block_on(login::login(args)),
        Command::Logout(args) => login::logout(&args),
        Command::Backends(args) => backends::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Runs a command on this thread; the model has a thread of its own.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Setup {
            what: "start the event loop",
            source,
        })?;
    let result = runtime.block_on(command);
    // A read of stdin that may never end must not hold the program.
    runtime.shutdown_background();
    result
}
