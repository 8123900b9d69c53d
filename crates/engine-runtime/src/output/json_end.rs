//! Where a value in brackets ends, in text that is still coming.

/// Finds the end of an object or list by its brackets, outside of texts in quotes. Whether it is
/// sound is not its concern.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonEnd {
    /// Bytes looked at.
    seen: usize,
    depth: usize,
    /// The quotes that begin and end a text.
    quotes: &'static [u8],
    /// The quote that ends the text under way.
    text: Option<u8>,
    escaped: bool,
    has_tag: bool,
}

impl Default for JsonEnd {
    /// For JSON.
    fn default() -> Self {
        Self::with_quotes(b"\"")
    }
}

impl JsonEnd {
    /// For values in Python's form.
    pub(super) fn python() -> Self {
        Self::with_quotes(b"\"'")
    }

    const fn with_quotes(quotes: &'static [u8]) -> Self {
        Self {
            seen: 0,
            depth: 0,
            quotes,
            text: None,
            escaped: false,
            has_tag: false,
        }
    }

    /// Looks at what a value that begins with the text has got since the last look; returns the
    /// length of the value once it is whole.
    pub(super) fn look(&mut self, text: &str) -> Option<usize> {
        for &byte in &text.as_bytes()[self.seen..] {
            self.seen += 1;
            match self.text {
                Some(_) if self.escaped => self.escaped = false,
                Some(_) if byte == b'\\' => self.escaped = true,
                Some(quote) if byte == quote => self.text = None,
                Some(_) => {}
                None if self.quotes.contains(&byte) => self.text = Some(byte),
                None => match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Some(self.seen);
                        }
                    }
                    b'<' => self.has_tag = true,
                    _ => {}
                },
            }
        }
        None
    }

    /// Whether a `<` stands outside of texts in quotes: that of a tag, since no value has one there.
    pub(super) fn has_tag(&self) -> bool {
        self.has_tag
    }

    /// Whether the text ends inside a text in quotes.
    pub(super) fn is_in_text(&self) -> bool {
        self.text.is_some()
    }
}
