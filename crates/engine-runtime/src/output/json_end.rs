//! Where a JSON value ends, in text that is still coming.

/// Finds the end of an object or list by its brackets. Whether it is sound JSON is not its concern.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonEnd {
    /// Bytes looked at.
    seen: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl JsonEnd {
    /// Looks at what a value that begins with the text has got since the last look; returns the
    /// length of the value once it is whole.
    pub(super) fn look(&mut self, text: &str) -> Option<usize> {
        for byte in &text.as_bytes()[self.seen..] {
            self.seen += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.seen);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Whether the text ends inside a JSON text.
    pub(super) fn is_in_text(&self) -> bool {
        self.in_text
    }
}
