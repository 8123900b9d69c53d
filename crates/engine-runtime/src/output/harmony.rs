//! gpt-oss's answers: messages in channels, each to a recipient.
//!
//! The format is described at <https://cookbook.openai.com/articles/openai-harmony>. An answer goes
//! on behind `<|start|>assistant`, with which its prompt ends:
//!
//! ```text
//! <|channel|>analysis<|message|>THOUGHT<|end|>
//! <|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>
//! <|start|>assistant<|channel|>final<|message|>TEXT<|return|>
//! ```

use super::{
    Parts, Phase, Step, WrittenCall,
    object::arguments_of_json,
    preview::Preview,
    tags::{Begins, Place, Search, begins, find_any, take},
};

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const CONSTRAIN: &str = "<|constrain|>";

/// What ends a message. The beginning of the next does too, since a model may forget the end.
const ENDS: [&str; 5] = ["<|end|>", "<|call|>", "<|return|>", START, CHANNEL];

pub(super) const MARKERS: [&str; 7] = [
    START,
    CHANNEL,
    MESSAGE,
    CONSTRAIN,
    "<|end|>",
    "<|call|>",
    "<|return|>",
];

/// A header that the answer's end cuts off is dropped; what is longer is none.
const LONGEST_HEADER: usize = 128;

/// What the engine writes to end a thought.
pub(super) const END_OF_ANALYSIS: &str = "<|end|><|start|>assistant<|channel|>final<|message|>";

/// Reads messages in channels.
#[derive(Debug)]
pub(super) struct Harmony {
    /// Whether messages to tools are calls; otherwise they are text.
    calls: bool,
    state: State,
    /// The header of the message under way, as it was written.
    header: String,
}

#[derive(Debug)]
enum State {
    /// The text may begin with a header.
    Between,
    /// Before `<|message|>`.
    Header(Search),
    Thought,
    Text,
    /// A message to a tool, before its end.
    Call(String, Preview, Search),
}

impl Harmony {
    pub(super) fn new(calls: bool) -> Self {
        Self {
            calls,
            state: State::Between,
            header: String::new(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Between | State::Header(_) => Phase::Undecided,
            State::Thought => Phase::Reasoning,
            State::Text | State::Call(..) => Phase::Answer,
        }
    }

    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match &mut self.state {
            State::Between => self.between(held, ended),
            State::Header(_) => self.header(held, ended, parts),
            State::Thought => {
                let (text, step) = self.message(held, ended);
                parts.reasoning(&text);
                step
            }
            State::Text => {
                let (text, step) = self.message(held, ended);
                parts.text(&text);
                step
            }
            State::Call(..) => self.call(held, ended, parts),
        }
    }

    fn between(&mut self, held: &str, ended: bool) -> Step {
        if held.is_empty() {
            return Step::Wait;
        }
        // Behind the role, with which the prompt ends, the recipient may come first.
        let heads = [START, CHANNEL, MESSAGE, CONSTRAIN, " to="];
        let begins = heads.map(|head| begins(held, head, ended));
        self.state = if begins.contains(&Begins::Yes) {
            State::Header(Search::default())
        } else if begins.contains(&Begins::Perhaps) {
            return Step::Wait;
        } else {
            State::Text
        };
        Step::Further
    }

    fn header(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let State::Header(search) = &mut self.state else {
            return Step::Further;
        };
        match search.find(held, MESSAGE) {
            Place::Found(at) => {
                self.header = take(held, at + MESSAGE.len());
                self.state = self.addressee(&self.header);
                Step::Further
            }
            Place::NotBefore(_) if ended => {
                if self.calls && recipient(held).is_some() {
                    parts.malformed(held, "the answer ended inside it");
                } else if held.len() > LONGEST_HEADER || held.contains('\n') {
                    parts.text(held);
                }
                held.clear();
                Step::Wait
            }
            Place::NotBefore(_) => Step::Wait,
        }
    }

    fn addressee(&self, header: &str) -> State {
        let channel = header
            .split_once(CHANNEL)
            .map_or("", |(_, channel)| channel.trim_start());
        match recipient(header) {
            Some(name) if self.calls => State::Call(
                name.to_owned(),
                Preview::of_arguments(name),
                Search::default(),
            ),
            _ if channel.starts_with("analysis") => State::Thought,
            _ => State::Text,
        }
    }

    /// Takes what is sure of the message under way; at its end the next one may follow.
    fn message(&mut self, held: &mut String, ended: bool) -> (String, Step) {
        match find_any(held, &ENDS) {
            (Place::Found(at), end) => {
                let text = take(held, at);
                self.end_message(held, ENDS[end]);
                (text, Step::Further)
            }
            (Place::NotBefore(_), _) if ended => (std::mem::take(held), Step::Wait),
            (Place::NotBefore(at), _) => (take(held, at), Step::Wait),
        }
    }

    /// Goes on behind the end of a message; returns the end's text.
    fn end_message(&mut self, held: &mut String, end: &str) -> String {
        self.state = State::Between;
        let is_end = end != START && end != CHANNEL;
        take(held, if is_end { end.len() } else { 0 })
    }

    fn call(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let State::Call(name, preview, search) = &mut self.state else {
            return Step::Further;
        };
        let (place, end) = search.find_any(held, &ENDS);
        let (at, end) = match place {
            Place::Found(at) => (at, ENDS[end]),
            Place::NotBefore(_) if ended => (held.len(), ""),
            Place::NotBefore(at) => {
                preview.look(&held[..at], parts);
                return Step::Wait;
            }
        };
        preview.look(&held[..at], parts);
        let name = std::mem::take(name);
        let preview = std::mem::replace(preview, Preview::of_body());
        let body = take(held, at);
        let end = self.end_message(held, end);
        let text = [self.header.as_str(), &body, &end].concat();
        let outcome = arguments_of_json(&body).map(|arguments| {
            vec![WrittenCall {
                id: None,
                name,
                arguments,
                untyped: false,
                text: String::new(),
            }]
        });
        parts.outcome(preview.settle(outcome), &text);
        Step::Further
    }
}

/// The tool that a header names, without the space of names that functions live in.
fn recipient(header: &str) -> Option<&str> {
    let (_, name) = header.split_once(" to=")?;
    let end = name
        .find(|c: char| c.is_whitespace() || c == '<')
        .unwrap_or(name.len());
    let name = &name[..end];
    Some(name.strip_prefix("functions.").unwrap_or(name)).filter(|name| !name.is_empty())
}
