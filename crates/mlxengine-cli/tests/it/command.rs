//! Starts the program under test.

use std::{process::Output, time::Duration};

use assert_cmd::Command;

/// Longer than any run here takes, so that a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mlxengine");

/// The program with these arguments, without settings from the environment.
pub(crate) fn mlxengine(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env_remove("MLXENGINE_MODEL")
        .env_remove("RUST_LOG")
        .timeout(PATIENCE);
    command
}

/// Runs `generate` on the mock, which answers with `reply`.
pub(crate) fn generate(reply: &str, arguments: &[&str]) -> Finished {
    let mock = ["generate", "--backend", "mock", "--mock-reply", reply];
    finished(mlxengine(&[&mock, arguments].concat()))
}

pub(crate) fn finished(mut command: Command) -> Finished {
    Finished::new(command.output().unwrap())
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// That it ended with this code, printed nothing, and said all of this on stderr.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
    }
}
