//! An answer's text, cut into what the model thinks, says and calls.
//!
//! Text comes in pieces and goes out in parts. Every decision depends on the text alone and not on
//! where its pieces end, and text is held back only while more of it could make it something else.

mod calls;
mod harmony;
mod json_end;
mod object;
mod preview;
mod python_calls;
mod tags;
mod thinking;

use engine_core::ToolFormat;
use serde_json::{Map, Value};

pub use self::thinking::{ThinkingStart, ThinkingTags};
use self::{calls::Calls, harmony::Harmony, thinking::Thinking};

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// What the model says.
    Text(String),
    /// What it thinks.
    Reasoning(String),
    /// A call is being written: a preview of the `Call` or `Malformed` that follows.
    CallDelta {
        /// The tool's name, where a call begins.
        name: Option<String>,
        /// What its arguments have got, as the model writes them, where they are JSON; else nothing.
        arguments: String,
    },
    /// A call that could be read.
    Call(WrittenCall),
    /// What is meant as a call and can't be read.
    Malformed {
        /// What the model wrote, with its tags.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A call as the model wrote it; whether there is such a tool is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenCall {
    /// The id, in the formats that have one.
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// The arguments.
    pub arguments: Map<String, Value>,
    /// The format has no types: each argument is a text, which the tool's schema may read as JSON.
    pub untyped: bool,
    /// What the model wrote, with its tags; empty for all but the first of calls written as one.
    pub text: String,
}

/// What an answer may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputGrammar {
    /// How thoughts are marked off, and whether the prompt has begun one. `None`: they are not.
    pub thinking: Option<ThinkingStart>,
    /// How calls are written. `None`: what looks like a call is text.
    pub calls: Option<ToolFormat>,
    /// The names of the tools that the model was offered. GLM-4's calls, which nothing marks but a
    /// name, are told from text by them.
    pub tools: Vec<String>,
    /// The model writes gpt-oss's channels; then `thinking` counts for nothing.
    pub harmony: bool,
}

impl OutputGrammar {
    /// Whether all text is what the model says.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Texts that have a meaning, of which some may be special tokens.
    pub fn markers(&self) -> Vec<String> {
        let mut markers: Vec<String> = Vec::new();
        if self.harmony {
            markers.extend(harmony::MARKERS.iter().map(|marker| (*marker).to_owned()));
        } else if let Some(start) = &self.thinking {
            markers.extend([start.tags.open.clone(), start.tags.close.clone()]);
        }
        if let Some(format) = self.calls {
            markers.extend(
                calls::markers(format)
                    .iter()
                    .map(|marker| (*marker).to_owned()),
            );
        }
        markers
    }

    /// The text that ends a thought, as the model would write it.
    pub fn end_of_thinking(&self) -> Option<String> {
        if self.harmony {
            return Some(harmony::END_OF_ANALYSIS.to_owned());
        }
        let start = self.thinking.as_ref()?;
        Some(format!("\n{}\n\n", start.tags.close))
    }
}

/// What the text read last belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It may become either.
    Undecided,
    /// A thought.
    Reasoning,
    /// The answer.
    Answer,
}

/// Cuts an answer into parts while its text comes.
#[derive(Debug)]
pub struct OutputParser {
    machine: Machine,
    /// Text that is not decided yet.
    held: String,
}

#[derive(Debug)]
enum Machine {
    Tagged { thinking: Thinking, calls: Calls },
    Harmony(Harmony),
}

/// Whether a step got further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Something was decided; there may be more.
    Further,
    /// More text is needed.
    Wait,
}

impl OutputParser {
    /// A parser for one answer.
    pub fn new(grammar: &OutputGrammar) -> Self {
        let machine = if grammar.harmony {
            Machine::Harmony(Harmony::new(grammar.calls.is_some()))
        } else {
            Machine::Tagged {
                thinking: Thinking::new(grammar.thinking.as_ref()),
                calls: Calls::new(grammar.calls, &grammar.tools),
            }
        };
        Self {
            machine,
            held: String::new(),
        }
    }

    /// Adds text; returns the parts that no further text can change.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        self.run(false)
    }

    /// Ends the answer: what was held back comes out.
    pub fn finish(&mut self) -> Vec<Part> {
        self.run(true)
    }

    /// What the text read last belongs to.
    pub fn phase(&self) -> Phase {
        match &self.machine {
            Machine::Tagged { thinking, .. } => thinking.phase(),
            Machine::Harmony(harmony) => harmony.phase(),
        }
    }

    fn run(&mut self, ended: bool) -> Vec<Part> {
        let mut parts = Parts::default();
        loop {
            let step = match &mut self.machine {
                Machine::Tagged { thinking, calls } if thinking.is_over() => {
                    calls.step(&mut self.held, ended, &mut parts)
                }
                Machine::Tagged { thinking, .. } => {
                    thinking.step(&mut self.held, ended, &mut parts)
                }
                Machine::Harmony(harmony) => harmony.step(&mut self.held, ended, &mut parts),
            };
            if step == Step::Wait {
                return parts.list;
            }
        }
    }
}

/// Parts on their way out.
#[derive(Debug, Default)]
struct Parts {
    list: Vec<Part>,
}

impl Parts {
    fn text(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.list.push(Part::Text(text.to_owned())),
        }
    }

    fn reasoning(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Reasoning(last)) => last.push_str(text),
            _ => self.list.push(Part::Reasoning(text.to_owned())),
        }
    }

    /// A call begins.
    fn begin_call(&mut self, name: &str) {
        self.list.push(Part::CallDelta {
            name: Some(name.to_owned()),
            arguments: String::new(),
        });
    }

    /// The arguments of the call that was begun last go on.
    fn call_arguments(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::CallDelta { arguments, .. }) => arguments.push_str(text),
            _ => self.list.push(Part::CallDelta {
                name: None,
                arguments: text.to_owned(),
            }),
        }
    }

    /// Calls that were written as one text, which the first of them gets.
    fn calls(&mut self, calls: Vec<WrittenCall>, text: &str) {
        for (index, mut call) in calls.into_iter().enumerate() {
            if index == 0 {
                text.clone_into(&mut call.text);
            }
            self.list.push(Part::Call(call));
        }
    }

    fn malformed(&mut self, text: &str, reason: impl Into<String>) {
        self.list.push(Part::Malformed {
            text: text.to_owned(),
            reason: reason.into(),
        });
    }

    /// Either, for the same text.
    fn outcome(&mut self, outcome: Result<Vec<WrittenCall>, String>, text: &str) {
        match outcome {
            Ok(calls) => self.calls(calls, text),
            Err(reason) => self.malformed(text, reason),
        }
    }
}
