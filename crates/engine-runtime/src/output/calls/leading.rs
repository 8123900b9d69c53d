//! Calls that nothing marks but their place, the answer's beginning, or a code block.

use super::{
    super::{
        Parts, Step, WrittenCall,
        json_end::JsonEnd,
        object::{calls_of_json, looks_like_calls},
        preview::Preview,
        python_calls::calls_of_python,
        tags::{Begins, Place, begins, find_any, take},
    },
    CUT_OFF,
    candidate::{Verdict, begins_python_list, is_begun_call, json_verdict, python_list_verdict},
};

const PYTHON_TAG: &str = "<|python_tag|>";

pub(super) const LLAMA3_MARKERS: &[&str] = &[PYTHON_TAG];

const FENCE_END: &str = "```";
const TOOL_CODE: &str = "```tool_code";

/// Finds calls at the answer's beginning, and behind what opens them further on.
#[derive(Debug)]
pub(in crate::output) struct Leading {
    dialect: Dialect,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Dialect {
    /// What opens a call anywhere.
    opens: &'static [&'static str],
    /// What opens a code block that may be a call, at the answer's beginning.
    fences: &'static [&'static str],
    /// Whether the answer may begin with a list in Python's form.
    python_list: bool,
    /// Whether the answer may begin with a list of objects.
    json_list: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing but white space has come, or a call and what separates it from the next.
    Start,
    /// JSON, or a list in Python's form, begins at `start`.
    Value {
        start: usize,
        python: bool,
        end: JsonEnd,
        preview: Preview,
    },
    /// The text begins with what opens a call; its body begins at `start`.
    Marked {
        start: usize,
        kind: Marked,
        preview: Option<Preview>,
    },
    /// Behind a call: another may follow.
    Behind,
    /// Text.
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marked {
    /// Behind `<|python_tag|>`: JSON, or Python up to the end.
    PythonTag,
    /// A code block that must be a call.
    ToolCode,
    /// A code block that may be one.
    Block,
}

impl State {
    fn value(start: usize, python: bool) -> Self {
        Self::Value {
            start,
            python,
            end: if python {
                JsonEnd::python()
            } else {
                JsonEnd::default()
            },
            preview: if python {
                Preview::of_python()
            } else {
                Preview::of_json(false)
            },
        }
    }

    fn marked(start: usize, mark: &str) -> Self {
        Self::Marked {
            start,
            kind: match mark {
                PYTHON_TAG => Marked::PythonTag,
                TOOL_CODE => Marked::ToolCode,
                _ => Marked::Block,
            },
            preview: None,
        }
    }
}

impl Leading {
    pub(super) fn llama3() -> Self {
        Self::new(Dialect {
            opens: &[PYTHON_TAG],
            fences: &[],
            python_list: false,
            json_list: false,
        })
    }

    pub(super) fn gemma() -> Self {
        Self::new(Dialect {
            opens: &[TOOL_CODE],
            fences: &["```json", "```python"],
            python_list: true,
            json_list: true,
        })
    }

    pub(super) fn json() -> Self {
        Self::new(Dialect {
            opens: &[],
            fences: &["```json"],
            python_list: false,
            json_list: true,
        })
    }

    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            state: State::Start,
        }
    }

    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match &mut self.state {
            State::Start => self.start(held, ended),
            State::Behind => self.behind(held, ended),
            State::Text => self.text(held, ended, parts),
            State::Value {
                start,
                python,
                end,
                preview,
            } => {
                let (start, python, value) = (*start, *python, &held[*start..]);
                let verdict = if python {
                    python_list_verdict(value)
                } else {
                    json_verdict(value)
                };
                if verdict == Verdict::No {
                    self.state = State::Text;
                    return Step::Further;
                }
                let whole = end.look(value);
                let value = &value[..whole.unwrap_or(value.len())];
                if !python || verdict == Verdict::Yes {
                    preview.look(value, parts);
                }
                let is_call = verdict == Verdict::Yes || preview.has_begun();
                if let Some(len) = whole {
                    if !is_call && !looks_like_calls(value) {
                        self.state = State::Text;
                        return Step::Further;
                    }
                    let calls = if python {
                        calls_of_python(value)
                    } else {
                        calls_of_json(value)
                    };
                    let outcome = preview.settle(calls);
                    parts.outcome(outcome, &take(held, start + len));
                    self.state = State::Behind;
                } else if ended {
                    // A call cut off is told from other text by its beginning.
                    if is_call || is_begun_call(value) {
                        parts.malformed(&std::mem::take(held), CUT_OFF);
                    }
                    self.state = State::Text;
                } else {
                    return Step::Wait;
                }
                Step::Further
            }
            State::Marked { .. } => self.marked(held, ended, parts),
        }
    }

    /// At the answer's beginning.
    fn start(&mut self, held: &str, ended: bool) -> Step {
        let text = held.trim_start();
        let space = held.len() - text.len();
        if text.is_empty() && !ended {
            return Step::Wait;
        }
        let Dialect {
            opens,
            fences,
            python_list,
            json_list,
        } = self.dialect;
        let mut perhaps = false;
        for mark in opens.iter().chain(fences) {
            match begins(text, mark, ended) {
                Begins::No => {}
                Begins::Perhaps => perhaps = true,
                Begins::Yes => {
                    self.state = State::marked(space + mark.len(), mark);
                    return Step::Further;
                }
            }
        }
        if perhaps {
            return Step::Wait;
        }
        let python = match begins_python_list(text, ended) {
            _ if !python_list => false,
            Begins::Perhaps => return Step::Wait,
            begins => begins == Begins::Yes,
        };
        self.state = if python || text.starts_with('{') || json_list && text.starts_with('[') {
            State::value(space, python)
        } else {
            State::Text
        };
        Step::Further
    }

    /// Behind a call: more follow behind `;`, a comma or white space.
    fn behind(&mut self, held: &str, ended: bool) -> Step {
        let rest = held.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == ',');
        if rest.is_empty() && !ended {
            return Step::Wait;
        }
        self.state = if rest.starts_with('{') {
            State::value(held.len() - rest.len(), false)
        } else {
            State::Text
        };
        Step::Further
    }

    fn text(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let opens = self.dialect.opens;
        match find_any(held, opens) {
            (Place::Found(at), index) => {
                parts.text(&take(held, at));
                self.state = State::marked(opens[index].len(), opens[index]);
                Step::Further
            }
            (Place::NotBefore(at), _) => {
                let at = if ended { held.len() } else { at };
                parts.text(&take(held, at));
                Step::Wait
            }
        }
    }

    /// Behind what opens a call.
    fn marked(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let State::Marked {
            start,
            kind,
            preview,
        } = &mut self.state
        else {
            return Step::Further;
        };
        let (start, kind, body) = (*start, *kind, &held[*start..]);
        let end = match kind {
            Marked::PythonTag => end_behind_tag(body, ended),
            Marked::ToolCode | Marked::Block => end_of_block(body),
        };
        let known = match end {
            Some(len) => &body[..len],
            None if ended => body,
            // The end of a block may have begun.
            None => body.trim_end_matches('`'),
        };
        if preview.is_none() {
            *preview = preview_behind(kind, known);
        }
        if let Some(preview) = preview {
            preview.look(known, parts);
        }
        if end.is_none() && !ended {
            return Step::Wait;
        }
        let has_begun = preview.as_ref().is_some_and(Preview::has_begun);
        let outcome = match kind {
            Marked::PythonTag if end.is_none() => Err(CUT_OFF.to_owned()),
            Marked::PythonTag if known.trim_start().starts_with('{') => calls_of_json(known),
            Marked::PythonTag => calls_of_python(known),
            Marked::ToolCode | Marked::Block => calls_of_block(known.trim(), has_begun)
                // Some models leave the end of the block out.
                .map_err(|reason| end.map_or_else(|| CUT_OFF.to_owned(), |_| reason)),
        };
        let outcome = match preview {
            Some(preview) => preview.settle(outcome),
            None => outcome,
        };
        let fence = if kind == Marked::PythonTag {
            ""
        } else {
            FENCE_END
        };
        let behind = end.map_or(held.len(), |len| start + len + fence.len());
        self.state = match kind {
            Marked::PythonTag => State::Behind,
            Marked::ToolCode | Marked::Block => State::Text,
        };
        if kind != Marked::Block || has_begun || outcome.is_ok() {
            parts.outcome(outcome, &take(held, behind));
        } else if end.is_some() {
            parts.text(&take(held, behind));
        }
        Step::Further
    }
}

/// What is shown of a call while it is written: nothing of a block that may be no call, unless it
/// has an object with a name and arguments.
fn preview_behind(kind: Marked, body: &str) -> Option<Preview> {
    let body = body.trim_start();
    let is_python = match begins_python_list(body, false) {
        Begins::Perhaps => return None,
        Begins::Yes => true,
        Begins::No => !body.is_empty() && !body.starts_with(['{', '[']),
    };
    match kind {
        _ if body.is_empty() => None,
        Marked::Block if is_python => None,
        Marked::PythonTag | Marked::ToolCode if is_python => Some(Preview::of_python()),
        Marked::PythonTag => Some(Preview::of_json(true)),
        Marked::ToolCode | Marked::Block => Some(Preview::of_json(false)),
    }
}

/// Where a call behind `<|python_tag|>` ends: one object, or Python up to the answer's end.
fn end_behind_tag(text: &str, ended: bool) -> Option<usize> {
    let body = text.trim_start();
    if body.starts_with('{') {
        let len = JsonEnd::default().look(body)?;
        return Some(text.len() - body.len() + len);
    }
    ended.then_some(text.len())
}

/// Where a code block ends: at three marks that begin a line.
fn end_of_block(body: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = body[from..].find(FENCE_END) {
        let at = from + at;
        if body[..at].trim_end_matches([' ', '\t']).ends_with('\n') {
            return Some(at);
        }
        from = at + FENCE_END.len();
    }
    None
}

/// `is_json` if it has an object that is meant as a call.
fn calls_of_block(body: &str, is_json: bool) -> Result<Vec<WrittenCall>, String> {
    if is_json && body.starts_with(['{', '[']) || looks_like_calls(body) {
        return calls_of_json(body);
    }
    calls_of_python(body)
}
