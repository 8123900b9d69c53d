//! Calls that nothing marks but their place, the answer's beginning, or a code block.

use super::{
    super::{
        Parts, Step, WrittenCall,
        json_end::JsonEnd,
        object::{calls_of_json, looks_like_calls},
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
    },
    /// The text begins with what opens a call; its body begins at `start`.
    Marked { start: usize, kind: Marked },
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
            State::Value { start, python, end } => {
                let (start, python, value) = (*start, *python, &held[*start..]);
                let verdict = if python {
                    python_list_verdict(value)
                } else {
                    json_verdict(value)
                };
                if verdict == Verdict::No {
                    self.state = State::Text;
                } else if let Some(len) = end.look(value) {
                    let behind = start + len;
                    self.value(behind, start, python, held, parts);
                } else if ended {
                    self.state = State::Text;
                    // A call cut off is told from other text by its beginning.
                    if verdict == Verdict::Yes || is_begun_call(value) {
                        parts.malformed(&std::mem::take(held), CUT_OFF);
                    }
                } else {
                    return Step::Wait;
                }
                Step::Further
            }
            State::Marked { start, kind } => {
                let (start, kind) = (*start, *kind);
                self.marked(start, kind, held, ended, parts)
            }
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
                    self.state = State::Marked {
                        start: space + mark.len(),
                        kind: kind_of(mark),
                    };
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
                self.state = State::Marked {
                    start: opens[index].len(),
                    kind: kind_of(opens[index]),
                };
                Step::Further
            }
            (Place::NotBefore(at), _) => {
                let at = if ended { held.len() } else { at };
                parts.text(&take(held, at));
                Step::Wait
            }
        }
    }

    /// A whole value at the answer's beginning: calls, or an answer in JSON.
    fn value(
        &mut self,
        behind: usize,
        start: usize,
        python: bool,
        held: &mut String,
        parts: &mut Parts,
    ) {
        let value = &held[start..behind];
        let outcome = if python {
            calls_of_python(value)
        } else if looks_like_calls(value) {
            calls_of_json(value)
        } else {
            self.state = State::Text;
            return;
        };
        parts.outcome(outcome, &take(held, behind));
        self.state = State::Behind;
    }

    fn marked(
        &mut self,
        start: usize,
        kind: Marked,
        held: &mut String,
        ended: bool,
        parts: &mut Parts,
    ) -> Step {
        if kind == Marked::PythonTag {
            return self.python_tag(start, held, ended, parts);
        }
        let Some(len) = end_of_block(&held[start..]) else {
            if !ended {
                return Step::Wait;
            }
            // Some models leave the end of the block out.
            let body = held[start..].trim();
            match calls_of_block(body) {
                Ok(calls) => parts.calls(calls, &std::mem::take(held)),
                Err(_) if kind == Marked::ToolCode => {
                    parts.malformed(&std::mem::take(held), CUT_OFF);
                }
                Err(_) => {}
            }
            self.state = State::Text;
            return Step::Further;
        };
        let behind = start + len + FENCE_END.len();
        let body = held[start..start + len].trim();
        let outcome = calls_of_block(body);
        self.state = State::Text;
        if kind == Marked::ToolCode || outcome.is_ok() {
            parts.outcome(outcome, &take(held, behind));
        } else {
            parts.text(&take(held, behind));
        }
        Step::Further
    }

    /// Behind `<|python_tag|>`: objects, or Python up to the end.
    fn python_tag(
        &mut self,
        start: usize,
        held: &mut String,
        ended: bool,
        parts: &mut Parts,
    ) -> Step {
        let body = held[start..].trim_start();
        if body.starts_with('{') {
            let Some(len) = JsonEnd::default().look(body) else {
                if !ended {
                    return Step::Wait;
                }
                parts.malformed(&std::mem::take(held), CUT_OFF);
                self.state = State::Text;
                return Step::Further;
            };
            let behind = held.len() - body.len() + len;
            let outcome = calls_of_json(&body[..len]);
            parts.outcome(outcome, &take(held, behind));
            self.state = State::Behind;
            return Step::Further;
        }
        if !ended {
            return Step::Wait;
        }
        let outcome = calls_of_python(body);
        parts.outcome(outcome, &std::mem::take(held));
        self.state = State::Text;
        Step::Further
    }
}

fn kind_of(mark: &str) -> Marked {
    match mark {
        PYTHON_TAG => Marked::PythonTag,
        TOOL_CODE => Marked::ToolCode,
        _ => Marked::Block,
    }
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

fn calls_of_block(body: &str) -> Result<Vec<WrittenCall>, String> {
    if looks_like_calls(body) {
        return calls_of_json(body);
    }
    calls_of_python(body)
}
