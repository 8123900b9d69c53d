//! Writing to stdout: at once, and without an outcry when nobody reads any more.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _, Write as _},
};

use mlxengine::GenerationEvent;
use serde::Serialize;

use crate::{failure::Failure, note, thoughts::Thoughts};

/// stdout, as the answer's place.
pub(crate) struct Output {
    terminal: bool,
    /// Whether the last character written ended a line.
    at_line_start: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            at_line_start: true,
        }
    }

    /// Writes a piece of text and sends it off.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        self.at_line_start = text.ends_with('\n');
        let text = if self.terminal {
            printable(text)
        } else {
            Cow::Borrowed(text)
        };
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(Failure::Output)
    }

    /// Writes what an event adds to the answer; what the model thinks goes its own way. A call of a
    /// tool is shown as the model wrote it.
    pub(crate) fn event(
        &mut self,
        event: &GenerationEvent,
        thoughts: &mut Thoughts,
    ) -> Result<(), Failure> {
        let text = match event {
            GenerationEvent::Reasoning { text, .. } => {
                thoughts.text(text);
                return Ok(());
            }
            GenerationEvent::Delta { text, .. } | GenerationEvent::ToolCall { text, .. } => text,
            GenerationEvent::InvalidToolCall { invalid, .. } => {
                note::say(&invalid.to_string());
                &invalid.text
            }
            _ => return Ok(()),
        };
        if !text.is_empty() {
            thoughts.end();
        }
        self.text(text)
    }

    /// Ends the line, unless it has ended.
    pub(crate) fn end_line(&mut self) -> Result<(), Failure> {
        if self.at_line_start {
            return Ok(());
        }
        self.text("\n")
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_string(value)
            .map_err(|error| Failure::Output(io::Error::other(error)))?;
        line.push('\n');
        self.text(&line)
    }
}

/// Without the control characters by which a model's text could steer the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(steers) {
        Cow::Owned(text.replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(
            printable("a\u{1b}]52;c;x\u{7}b"),
            "a\u{fffd}]52;c;x\u{fffd}b"
        );
        assert_eq!(printable("c1 \u{9b}2J"), "c1 \u{fffd}2J");
    }

    #[test]
    fn lines_tabs_and_any_script_stay() {
        let text = "Grüße\n\t你好 🦀";
        assert_eq!(printable(text), text);
    }
}
