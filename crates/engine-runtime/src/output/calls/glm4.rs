//! GLM-4's calls: the name of a tool on a line of its own, and its arguments on the next.
//!
//! Text may look alike, such as a word of code above a brace. So what follows the name of no tool
//! that was offered is a call only if it is an object with arguments, sound and whole. It is text as
//! soon as it can't become one.
//!
//! The models' page, <https://huggingface.co/zai-org/GLM-4-32B-0414>, reads them so: messages of
//! one answer are separated by `<|assistant|>`, arguments are JSON or, at times, a dict of Python.

use super::{
    super::{
        Parts, Step, WrittenCall,
        json_end::JsonEnd,
        object::arguments_of_json,
        preview::Preview,
        python_calls::dict_of_python,
        tags::{Begins, Place, begins, find_any, take},
    },
    CUT_OFF,
};

/// Separates the messages of an answer; no part of its text.
const ASSISTANT: &str = "<|assistant|>";

pub(super) const MARKERS: &[&str] = &[ASSISTANT];

/// The longest name that a tool may have.
const LONGEST_NAME: usize = 64;

/// A line that does not show within so many bytes what it is, is text.
const LONGEST_HEAD: usize = 512;

/// Longer arguments of a tool that was not offered are text, which is not held back any further.
const LONGEST_ARGUMENTS_OF_NO_TOOL: usize = 16 << 10;

/// Finds `NAME`, a line break and `{...}`.
#[derive(Debug)]
pub(in crate::output) struct Glm4 {
    /// The names of the tools that were offered.
    tools: Vec<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The text begins a line, and a message if it is `first`.
    Line { first: bool },
    /// Inside a line of text.
    Text,
    /// The arguments of the tool begin at `start`, or text that looks alike if it was not
    /// `offered`.
    Arguments {
        name: String,
        offered: bool,
        start: usize,
        /// They are a dict of Python.
        python: bool,
        end: JsonEnd,
        preview: Preview,
    },
}

/// What a line may be.
enum Head {
    /// The name of a tool; its arguments begin here.
    Call {
        name: String,
        start: usize,
        offered: bool,
    },
    /// A call that the answer's end cuts off.
    CutOff,
    /// The line may still be a call.
    Unknown,
    Text,
}

impl Glm4 {
    pub(super) fn new(tools: &[String]) -> Self {
        Self {
            tools: tools.to_vec(),
            state: State::Line { first: true },
        }
    }

    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match &mut self.state {
            State::Line { first } => {
                let first = *first;
                self.line(first, held, ended, parts)
            }
            State::Text => self.text(held, ended, parts),
            State::Arguments {
                name,
                offered,
                start,
                python,
                end,
                preview,
            } => {
                let whole = end.look(&held[*start..]);
                let behind = whole.map_or(held.len(), |len| *start + len);
                let body = &held[*start..behind];
                if *offered {
                    preview.look(body, parts);
                }
                let is_text = end.has_tag() || body.len() > LONGEST_ARGUMENTS_OF_NO_TOOL;
                if is_text && !*offered {
                    self.state = State::Text;
                    return Step::Further;
                }
                if whole.is_none() {
                    if !ended {
                        return Step::Wait;
                    }
                    self.state = if *offered {
                        parts.malformed(&std::mem::take(held), CUT_OFF);
                        State::Line { first: true }
                    } else {
                        State::Text
                    };
                    return Step::Further;
                }
                let arguments = if *python {
                    dict_of_python(body)
                } else {
                    arguments_of_json(body)
                };
                if !*offered && arguments.is_err() {
                    self.state = State::Text;
                    return Step::Further;
                }
                let outcome = arguments.map(|arguments| {
                    vec![WrittenCall {
                        id: None,
                        name: std::mem::take(name),
                        arguments,
                        untyped: false,
                        text: String::new(),
                    }]
                });
                let outcome = preview.settle(outcome);
                parts.outcome(outcome, &take(held, behind));
                self.state = State::Line { first: true };
                Step::Further
            }
        }
    }

    /// At the beginning of a line.
    fn line(&mut self, first: bool, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        if held.is_empty() {
            return Step::Wait;
        }
        let space = if first {
            held.len() - held.trim_start().len()
        } else {
            0
        };
        match begins(&held[space..], ASSISTANT, ended) {
            Begins::Perhaps => return Step::Wait,
            Begins::Yes => {
                parts.text(&take(held, space));
                take(held, ASSISTANT.len());
                self.state = State::Line { first: true };
                return Step::Further;
            }
            Begins::No => {}
        }
        let text = &held[space..];
        let beginning = &text[..text.floor_char_boundary(LONGEST_HEAD)];
        let is_all = beginning.len() == text.len();
        match head(beginning, first, ended && is_all, &self.tools) {
            Head::Unknown if is_all => return Step::Wait,
            Head::Unknown | Head::Text => self.state = State::Text,
            Head::CutOff => {
                parts.malformed(&std::mem::take(held), CUT_OFF);
                self.state = State::Line { first: true };
            }
            Head::Call {
                name,
                start,
                offered,
            } => {
                let start = space + start;
                let python = held[start + 1..].trim_start().starts_with('\'');
                let (end, preview) = if python {
                    (JsonEnd::python(), Preview::of_name(&name))
                } else {
                    (JsonEnd::default(), Preview::of_arguments(&name))
                };
                self.state = State::Arguments {
                    name,
                    offered,
                    start,
                    python,
                    end,
                    preview,
                };
            }
        }
        Step::Further
    }

    /// Up to the end of the line, or of the message.
    fn text(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match find_any(held, &["\n", ASSISTANT]) {
            (Place::Found(at), 0) => {
                parts.text(&take(held, at + 1));
                self.state = State::Line { first: false };
                Step::Further
            }
            (Place::Found(at), _) => {
                parts.text(&take(held, at));
                take(held, ASSISTANT.len());
                self.state = State::Line { first: true };
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

/// What a line is. What begins a message with the name of a tool is meant as a call; elsewhere
/// arguments must begin like JSON, and behind the name of no tool with a key.
fn head(text: &str, first: bool, ended: bool, tools: &[String]) -> Head {
    let unknown = if ended { Head::Text } else { Head::Unknown };
    let rest = text.trim_start_matches(is_name_char);
    let name = &text[..text.len() - rest.len()];
    if name.len() > LONGEST_NAME {
        return Head::Text;
    }
    let rest = rest.trim_start_matches([' ', '\t', '\r']);
    if rest.is_empty() {
        return unknown;
    }
    let Some(arguments) = rest.strip_prefix('\n').filter(|_| !name.is_empty()) else {
        return Head::Text;
    };
    if arguments.is_empty() {
        return unknown;
    }
    let Some(inside) = arguments.strip_prefix('{').map(str::trim_start) else {
        return Head::Text;
    };
    let offered = tools.iter().any(|tool| tool == name);
    if inside.is_empty() {
        return if first && ended && offered {
            Head::CutOff
        } else {
            unknown
        };
    }
    let is_call = if offered {
        first || inside.starts_with(['"', '\'', '}'])
    } else {
        match begins_with_key(inside) {
            Some(begins) => begins,
            None => return unknown,
        }
    };
    if is_call {
        Head::Call {
            name: name.to_owned(),
            start: text.len() - arguments.len(),
            offered,
        }
    } else {
        Head::Text
    }
}

/// Whether what stands in braces begins with a key in quotes and its colon; `None` while more of it
/// could tell.
fn begins_with_key(inside: &str) -> Option<bool> {
    let quote = inside.chars().next()?;
    if !matches!(quote, '"' | '\'') {
        return Some(false);
    }
    let mut escaped = false;
    for (at, c) in inside.char_indices().skip(1) {
        if c == '\n' {
            return Some(false);
        } else if escaped {
            escaped = false;
        } else if c == quote {
            let next = inside[at + 1..].trim_start().chars().next()?;
            return Some(next == ':');
        } else {
            escaped = c == '\\';
        }
    }
    None
}

/// As [`ToolDefinition`](engine_core::ToolDefinition) allows names.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}
