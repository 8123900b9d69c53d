//! Calls that are objects with a name and arguments.

use super::{
    super::object::{ARGUMENT_KEYS, NAME_KEYS},
    Parts, Shown,
};

/// Shows the calls of objects, of a list of them, and of several of either.
///
/// Whether the text is sound JSON is not its concern.
#[derive(Debug)]
pub(super) struct JsonScan {
    /// A name alone is enough to show a call.
    certain: bool,
    /// Bytes looked at.
    seen: usize,
    /// Where the text in quotes under way begins, behind its quote.
    quoted: Option<usize>,
    escaped: bool,
    /// The objects and lists under way.
    frames: Vec<Frame>,
    call: Call,
    is_over: bool,
}

#[derive(Debug)]
struct Frame {
    is_object: bool,
    /// An object whose keys are those of a call.
    is_call: bool,
    /// The next text in quotes is a key.
    before_key: bool,
    key: String,
}

/// The call under way.
#[derive(Debug, Default)]
struct Call {
    name: Option<String>,
    has_arguments: bool,
    is_shown: bool,
    arguments: Option<Arguments>,
}

/// An object of arguments.
#[derive(Debug)]
struct Arguments {
    /// What of it has been shown ends here.
    sent: usize,
    /// How many frames are around it.
    depth: usize,
    end: Option<usize>,
}

impl JsonScan {
    pub(super) fn new(certain: bool) -> Self {
        Self {
            certain,
            seen: 0,
            quoted: None,
            escaped: false,
            frames: Vec::new(),
            call: Call::default(),
            is_over: false,
        }
    }

    pub(super) fn look(&mut self, text: &str, shown: &mut Shown, parts: &mut Parts) {
        for (at, &byte) in text.as_bytes().iter().enumerate().skip(self.seen) {
            if self.is_over {
                return;
            }
            self.seen = at + 1;
            match self.quoted {
                Some(_) if self.escaped => self.escaped = false,
                Some(_) if byte == b'\\' => self.escaped = true,
                Some(start) if byte == b'"' => {
                    self.quoted = None;
                    self.quote(&text[start..at], shown, parts);
                }
                Some(_) => {}
                None => self.mark(at, byte, text, shown, parts),
            }
        }
        self.send(text, shown, parts);
    }

    /// A byte outside of texts in quotes.
    fn mark(&mut self, at: usize, byte: u8, text: &str, shown: &mut Shown, parts: &mut Parts) {
        match byte {
            b'"' => self.quoted = Some(at + 1),
            b'{' | b'[' => self.open(at, byte == b'{'),
            b'}' | b']' => self.close(at, text, shown, parts),
            b':' => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.before_key = false;
                    if frame.is_call && ARGUMENT_KEYS.contains(&frame.key.as_str()) {
                        self.call.has_arguments = true;
                        self.show(shown, parts);
                    }
                }
            }
            b',' => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.before_key = frame.is_object;
                    frame.key.clear();
                }
            }
            _ => {}
        }
    }

    /// An object or list begins.
    fn open(&mut self, at: usize, is_object: bool) {
        let (is_call, is_arguments) = match self.frames.as_slice() {
            [] => (is_object, false),
            // As in OpenAI's API, the call may be one level further in.
            [
                ..,
                Frame {
                    is_call: true, key, ..
                },
            ] => (
                is_object && key == "function",
                is_object && ARGUMENT_KEYS.contains(&key.as_str()),
            ),
            [list] => (is_object && !list.is_object, false),
            _ => (false, false),
        };
        if is_arguments && self.call.arguments.is_none() {
            self.call.arguments = Some(Arguments {
                sent: at,
                depth: self.frames.len(),
                end: None,
            });
        }
        self.frames.push(Frame {
            is_object,
            is_call,
            before_key: is_object,
            key: String::new(),
        });
    }

    /// An object or list ends.
    fn close(&mut self, at: usize, text: &str, shown: &mut Shown, parts: &mut Parts) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if let Some(arguments) = &mut self.call.arguments
            && arguments.end.is_none()
            && arguments.depth == self.frames.len()
        {
            arguments.end = Some(at + 1);
        }
        let is_in_call = self.frames.iter().any(|frame| frame.is_call);
        if frame.is_call && !is_in_call {
            self.send(text, shown, parts);
            // What is shown are the first calls of a text, none left out.
            self.is_over |= !self.call.is_shown;
            self.call = Call::default();
        }
    }

    /// A text in quotes.
    fn quote(&mut self, inside: &str, shown: &mut Shown, parts: &mut Parts) {
        let Some(frame) = self.frames.last_mut().filter(|frame| frame.is_call) else {
            return;
        };
        let Ok(inside) = serde_json::from_str::<String>(&format!("\"{inside}\"")) else {
            self.is_over = true;
            return;
        };
        if frame.before_key {
            frame.key = inside;
        } else if NAME_KEYS.contains(&frame.key.as_str())
            && self.call.name.is_none()
            && !inside.is_empty()
        {
            self.call.name = Some(inside);
            self.show(shown, parts);
        }
    }

    /// Shows the call, if that is due.
    fn show(&mut self, shown: &mut Shown, parts: &mut Parts) {
        if let Some(name) = &self.call.name
            && !self.call.is_shown
            && (self.certain || self.call.has_arguments)
        {
            shown.begin(name, parts);
            self.call.is_shown = true;
        }
    }

    /// Shows the arguments that have come.
    fn send(&mut self, text: &str, shown: &mut Shown, parts: &mut Parts) {
        if let Some(arguments) = &mut self.call.arguments
            && self.call.is_shown
        {
            let end = arguments.end.unwrap_or(text.len());
            if arguments.sent < end {
                shown.add(&text[arguments.sent..end], parts);
                arguments.sent = end;
            }
        }
    }
}
