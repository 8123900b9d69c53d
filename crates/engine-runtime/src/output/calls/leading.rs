//! Calls that nothing marks but their place, the answer's beginning, or a code block.

use super::{
    super::{
        Parts, Step,
        json_end::JsonEnd,
        object::{calls_of_json, looks_like_calls},
        preview::Preview,
        python_calls::calls_of_python,
        tags::{Begins, Place, begins, find_any, take},
    },
    CUT_OFF,
    candidate::{Verdict, begins_python_list, is_begun_call, json_verdict, python_list_verdict},
    marked::{Marked, PYTHON_TAG, TOOL_CODE},
};

pub(super) const LLAMA3_MARKERS: &[&str] = &[PYTHON_TAG];

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
    /// The text begins with what opens a call.
    Marked(Marked),
    /// Behind a call: another may follow.
    Behind,
    /// Text.
    Text,
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
            State::Marked(marked) => {
                let step = marked.step(held, ended, parts);
                if step == Step::Further {
                    self.state = if marked.goes_on() {
                        State::Behind
                    } else {
                        State::Text
                    };
                }
                step
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
                    self.state = State::Marked(Marked::new(mark, space + mark.len()));
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
                self.state = State::Marked(Marked::new(opens[index], opens[index].len()));
                Step::Further
            }
            (Place::NotBefore(at), _) => {
                let at = if ended { held.len() } else { at };
                parts.text(&take(held, at));
                Step::Wait
            }
        }
    }
}
