//! Arguments that are a text of their own: one object.

use super::{super::json_end::JsonEnd, Parts, Shown};

/// Shows an object that begins with the text, or behind white space.
#[derive(Debug, Default)]
pub(super) struct ArgumentsScan {
    /// Where the object begins.
    start: Option<usize>,
    end: JsonEnd,
    /// How much of it was shown.
    sent: usize,
    is_over: bool,
}

impl ArgumentsScan {
    /// Shows what has come; returns where the object ends in the text once it does, or where the
    /// text turns out to be none.
    pub(super) fn look(
        &mut self,
        text: &str,
        shown: &mut Shown,
        parts: &mut Parts,
    ) -> Option<usize> {
        let start = if let Some(start) = self.start {
            start
        } else {
            let object = text.trim_start();
            if object.is_empty() {
                return None;
            }
            self.is_over = !object.starts_with('{');
            *self.start.insert(text.len() - object.len())
        };
        let object = &text[start..];
        if !self.is_over {
            let whole = self.end.look(object);
            let until = whole.unwrap_or(object.len());
            shown.add(&object[self.sent..until], parts);
            self.sent = until;
            self.is_over = whole.is_some();
        }
        self.is_over.then_some(start + self.sent)
    }
}
