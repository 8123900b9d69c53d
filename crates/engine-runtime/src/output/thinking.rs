//! Thoughts that stand before an answer, between two tags.

use super::{
    Parts, Phase, Step,
    tags::{Begins, Place, begins, find, take},
};

/// The tags around a thought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThinkingTags {
    /// What begins it: `<think>`.
    pub open: String,
    /// What ends it: `</think>`.
    pub close: String,
}

impl ThinkingTags {
    /// A pair of tags, neither of them empty.
    pub fn new(open: impl Into<String>, close: impl Into<String>) -> Self {
        Self {
            open: open.into(),
            close: close.into(),
        }
    }
}

/// How an answer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThinkingStart {
    /// The tags around a thought.
    pub tags: ThinkingTags,
    /// The prompt ended with the opening tag: the answer begins inside the thought.
    pub begun: bool,
}

/// Finds the thought at an answer's beginning. Tags further on are text: they are what the answer
/// speaks of.
#[derive(Debug)]
pub(super) struct Thinking {
    tags: ThinkingTags,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but white space has come.
    Before,
    /// Behind the opening tag; line breaks next to it are dropped.
    Opened,
    Inside,
    /// Behind the closing tag; line breaks next to it are dropped.
    Closed,
    Over,
}

const LINE_BREAKS: [char; 2] = ['\n', '\r'];

impl Thinking {
    pub(super) fn new(start: Option<&ThinkingStart>) -> Self {
        match start {
            None => Self {
                tags: ThinkingTags::new("", ""),
                state: State::Over,
            },
            Some(start) => Self {
                tags: start.tags.clone(),
                state: if start.begun {
                    State::Opened
                } else {
                    State::Before
                },
            },
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Before => Phase::Undecided,
            State::Opened | State::Inside => Phase::Reasoning,
            State::Closed | State::Over => Phase::Answer,
        }
    }

    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match self.state {
            State::Before => {
                let text = held.trim_start();
                let space = held.len() - text.len();
                match begins(text, &self.tags.open, ended) {
                    Begins::Perhaps => return Step::Wait,
                    Begins::No => self.state = State::Over,
                    Begins::Yes => {
                        take(held, space + self.tags.open.len());
                        self.state = State::Opened;
                    }
                }
            }
            State::Opened | State::Closed => {
                let breaks = held.len() - held.trim_start_matches(LINE_BREAKS).len();
                take(held, breaks);
                if held.is_empty() && !ended {
                    return Step::Wait;
                }
                self.state = match self.state {
                    State::Opened => State::Inside,
                    _ => State::Over,
                };
            }
            State::Inside => return self.step_inside(held, ended, parts),
            State::Over => return Step::Wait,
        }
        Step::Further
    }

    fn step_inside(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match find(held, &self.tags.close) {
            Place::Found(at) => {
                let thought = take(held, at);
                parts.reasoning(thought.trim_end_matches(LINE_BREAKS));
                take(held, self.tags.close.len());
                self.state = State::Closed;
                Step::Further
            }
            Place::NotBefore(_) if ended => {
                parts.reasoning(&std::mem::take(held));
                self.state = State::Over;
                Step::Further
            }
            Place::NotBefore(at) => {
                let sure = held[..at].trim_end_matches(LINE_BREAKS).len();
                parts.reasoning(&take(held, sure));
                Step::Wait
            }
        }
    }
}
