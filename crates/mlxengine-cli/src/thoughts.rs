//! What a model thinks, on stderr, where it does not mix with the answer.

use std::io::{self, Write as _};

use console::Style;

use crate::output::printable;

/// stderr, as the thoughts' place. Dimmed at a terminal that has colours.
pub(crate) struct Thoughts {
    shown: bool,
    style: Style,
    /// Whether the last character written ended a line.
    at_line_start: bool,
}

impl Thoughts {
    pub(crate) fn new(shown: bool) -> Self {
        Self {
            shown,
            style: Style::new().for_stderr().dim(),
            at_line_start: true,
        }
    }

    /// Writes a piece of a thought.
    pub(crate) fn text(&mut self, text: &str) {
        if self.shown && !text.is_empty() {
            self.at_line_start = text.ends_with('\n');
            // With stderr gone there is nobody left to tell.
            let _ = write!(
                io::stderr().lock(),
                "{}",
                self.style.apply_to(printable(text))
            );
        }
    }

    /// Ends the line of the thought, before something else is written.
    pub(crate) fn end(&mut self) {
        if !self.at_line_start {
            self.at_line_start = true;
            let _ = writeln!(io::stderr().lock());
        }
    }
}
