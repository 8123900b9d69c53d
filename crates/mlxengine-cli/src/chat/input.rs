//! Where the lines of a chat come from.

use std::io::{self, IsTerminal as _};

use rustyline::{DefaultEditor, error::ReadlineError};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use crate::{failure::Failure, interrupt::Interrupt, note};

pub(crate) enum Line {
    Text(String),
    /// The input has ended, or the person leaves.
    End,
    /// Ctrl-C while a pipe was awaited.
    Interrupted,
}

pub(crate) enum Input {
    /// A person, with a line to edit. Earlier lines are kept in memory only.
    Terminal(Box<DefaultEditor>),
    Pipe(Lines<BufReader<Stdin>>),
}

impl Input {
    pub(crate) fn new() -> Result<Self, Failure> {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            let editor = DefaultEditor::new().map_err(read_failure)?;
            return Ok(Self::Terminal(Box::new(editor)));
        }
        Ok(Self::Pipe(BufReader::new(tokio::io::stdin()).lines()))
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next line, without its end.
    pub(crate) async fn next(&mut self) -> Result<Line, Failure> {
        match self {
            Self::Terminal(editor) => ask(editor),
            Self::Pipe(lines) => match Interrupt::new().or(lines.next_line()).await {
                None => Ok(Line::Interrupted),
                Some(Ok(Some(line))) => Ok(Line::Text(line)),
                Some(Ok(None)) => Ok(Line::End),
                Some(Err(source)) => Err(read_failure(source)),
            },
        }
    }
}

/// Waits for a person. It blocks, and may: nothing else happens between two turns.
fn ask(editor: &mut DefaultEditor) -> Result<Line, Failure> {
    let mut interrupted = false;
    loop {
        match editor.readline("> ") {
            Ok(line) => {
                if !line.trim().is_empty() {
                    editor.add_history_entry(&line).map_err(read_failure)?;
                }
                return Ok(Line::Text(line));
            }
            Err(ReadlineError::Eof) => return Ok(Line::End),
            Err(ReadlineError::Interrupted) if interrupted => return Ok(Line::End),
            Err(ReadlineError::Interrupted) => {
                interrupted = true;
                note::say("(Ctrl-C again, or Ctrl-D, leaves)");
            }
            Err(error) => return Err(read_failure(error)),
        }
    }
}

fn read_failure(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Read {
        what: "the next line".to_owned(),
        source: io::Error::other(error),
    }
}
