//! UTF-8 that arrives in pieces which split characters.

/// Turns bytes into text as [`String::from_utf8_lossy`] does for all of them together, holding back
/// at most the three bytes of a character that is not whole yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Utf8Stream {
    held: Vec<u8>,
}

impl Utf8Stream {
    /// Adds bytes; returns the text that no further byte can change.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.held.len());
        let mut rest = self.held.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    rest = after;
                    let Some(invalid) = error.error_len() else {
                        break;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[invalid..];
                }
            }
        }
        let done = self.held.len() - rest.len();
        self.held.drain(..done);
        text
    }

    /// Ends the bytes: a character cut short becomes one U+FFFD.
    pub(super) fn finish(&mut self) -> &'static str {
        if self.held.is_empty() {
            return "";
        }
        self.held.clear();
        "\u{FFFD}"
    }
}
