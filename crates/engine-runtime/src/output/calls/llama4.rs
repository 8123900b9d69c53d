//! Llama 4's calls: a list in Python's form, or objects, as the whole answer or behind
//! `<|python_start|>`.
//!
//! The list is described at
//! <https://github.com/meta-llama/llama-models/blob/main/models/llama4/prompt_format.md>, objects
//! are what the models' chat template asks for. It shows earlier answers with their text between
//! `<|python_start|>` and `<|python_end|>` and their calls behind it, so text may stand there too;
//! then the tags are left out.

use super::{
    super::{
        Parts, Step,
        json_end::JsonEnd,
        object::{calls_of_json, looks_like_calls},
        preview::Preview,
        python_calls::calls_of_python,
        tags::{Begins, Place, Search, begins, find_any, take},
    },
    CUT_OFF,
    candidate::{
        Verdict, begins_python_list, is_begun_call, json_verdict, python_call_verdict,
        python_list_verdict,
    },
};

const OPEN: &str = "<|python_start|>";
const CLOSE: &str = "<|python_end|>";

pub(super) const MARKERS: &[&str] = &[OPEN, CLOSE];

/// Finds calls at the answer's beginning, and behind the tags.
#[derive(Debug)]
pub(in crate::output) struct Llama4 {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The text may begin with a call. Its first `tag` bytes are an opening tag.
    Start { tag: usize },
    /// What may be a call begins at `start`.
    Value {
        tag: usize,
        start: usize,
        form: Form,
        end: JsonEnd,
        close: Search,
        preview: Preview,
    },
    /// A whole call, between `start` and `end`; its closing tag may follow.
    Whole {
        start: usize,
        end: usize,
        form: Form,
        preview: Preview,
    },
    /// Behind a call: another may follow.
    Behind,
    /// Text.
    Text,
}

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An object, or a list of them.
    Json,
    /// `[NAME(KEY=VALUE), ...]`
    PythonList,
    /// `NAME(KEY=VALUE)`, up to the closing tag.
    Python,
}

impl State {
    fn value(tag: usize, start: usize, form: Form) -> Self {
        let (end, preview) = match form {
            Form::Json => (JsonEnd::default(), Preview::of_json(false)),
            Form::PythonList | Form::Python => (JsonEnd::python(), Preview::of_python()),
        };
        Self::Value {
            tag,
            start,
            form,
            end,
            close: Search::default(),
            preview,
        }
    }
}

impl Llama4 {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Start { tag: 0 },
        }
    }

    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match &mut self.state {
            State::Start { tag } => {
                let tag = *tag;
                self.start(tag, held, ended, parts)
            }
            State::Value {
                tag,
                start,
                form,
                end,
                close,
                preview,
            } => {
                let (tag, start, form, value) = (*tag, *start, *form, &held[*start..]);
                let verdict = match form {
                    Form::Json => json_verdict(value),
                    Form::PythonList => python_list_verdict(value),
                    Form::Python => python_call_verdict(value),
                };
                let whole = match (verdict, form) {
                    (Verdict::No, _) => {
                        self.no_call(tag, held, parts);
                        return Step::Further;
                    }
                    (Verdict::Perhaps, Form::PythonList | Form::Python) => None,
                    (_, Form::Python) => match close.find(value, CLOSE) {
                        Place::Found(at) => Some(at),
                        Place::NotBefore(_) => ended.then_some(value.len()),
                    },
                    _ => end.look(value),
                };
                if form == Form::Json || verdict == Verdict::Yes {
                    preview.look(&value[..whole.unwrap_or(value.len())], parts);
                }
                let is_call = verdict == Verdict::Yes || preview.has_begun();
                match whole {
                    Some(len) if !is_call && !looks_like_calls(&value[..len]) => {
                        self.no_call(tag, held, parts);
                    }
                    Some(len) => {
                        self.state = State::Whole {
                            start,
                            end: start + len,
                            form,
                            preview: std::mem::replace(preview, Preview::of_body()),
                        };
                    }
                    None if !ended => return Step::Wait,
                    None if is_call || is_begun_call(value) => {
                        parts.malformed(&std::mem::take(held), CUT_OFF);
                        self.state = State::Text;
                    }
                    None => self.no_call(tag, held, parts),
                }
                Step::Further
            }
            State::Whole {
                start,
                end,
                form,
                preview,
            } => {
                let rest = held[*end..].trim_start();
                let behind = match begins(rest, CLOSE, ended) {
                    Begins::Perhaps => return Step::Wait,
                    Begins::No => *end,
                    Begins::Yes => held.len() - rest.len() + CLOSE.len(),
                };
                let body = &held[*start..*end];
                let outcome = match form {
                    Form::Json => calls_of_json(body),
                    Form::PythonList | Form::Python => calls_of_python(body),
                };
                let outcome = preview.settle(outcome);
                parts.outcome(outcome, &take(held, behind));
                self.state = State::Behind;
                Step::Further
            }
            State::Behind => self.behind(held, ended),
            State::Text => self.text(held, ended, parts),
        }
    }

    /// Where a call may begin.
    fn start(&mut self, tag: usize, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let text = held[tag..].trim_start();
        let start = held.len() - text.len();
        if text.is_empty() {
            if !ended {
                return Step::Wait;
            }
            self.no_call(tag, held, parts);
            return Step::Further;
        }
        let tags = [OPEN, CLOSE].map(|mark| begins(text, mark, ended));
        if tags.contains(&Begins::Perhaps) {
            return Step::Wait;
        }
        if tags.contains(&Begins::Yes) {
            // White space before a tag, and tags around nothing, stay with the call or go.
            let [opens, _] = tags;
            if opens == Begins::Yes {
                self.state = State::Start {
                    tag: start + OPEN.len(),
                };
            } else {
                take(held, start + CLOSE.len());
                self.state = State::Start { tag: 0 };
            }
            return Step::Further;
        }
        let form = match begins_python_list(text, ended) {
            Begins::Perhaps => return Step::Wait,
            Begins::Yes => Form::PythonList,
            Begins::No if text.starts_with(['{', '[']) => Form::Json,
            Begins::No if tag > 0 => Form::Python,
            Begins::No => {
                self.state = State::Text;
                return Step::Further;
            }
        };
        self.state = State::value(tag, start, form);
        Step::Further
    }

    /// The text is text after all, without its tag.
    fn no_call(&mut self, tag: usize, held: &mut String, parts: &mut Parts) {
        let before = take(held, tag);
        let space = before.len() - before.trim_start().len();
        parts.text(&before[..space]);
        self.state = State::Text;
    }

    /// Behind a call: more follow behind `;`, a comma or white space.
    fn behind(&mut self, held: &str, ended: bool) -> Step {
        let rest = held.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == ',');
        if rest.is_empty() && !ended {
            return Step::Wait;
        }
        self.state = if rest.starts_with('{') {
            State::value(0, held.len() - rest.len(), Form::Json)
        } else {
            State::Text
        };
        Step::Further
    }

    fn text(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match find_any(held, MARKERS) {
            (Place::Found(at), _) => {
                parts.text(&take(held, at));
                self.state = State::Start { tag: 0 };
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
