//! Mistral's calls: `[TOOL_CALLS]` and a list of objects, or a name and its arguments.

use super::{
    super::{
        Parts, Step, WrittenCall,
        json_end::JsonEnd,
        object::{arguments_of_json, calls_of_json},
        preview::Preview,
        tags::{Begins, Place, begins, find, take},
    },
    CUT_OFF,
};

const OPEN: &str = "[TOOL_CALLS]";
const CALL_ID: &str = "[CALL_ID]";
const ARGS: &str = "[ARGS]";

pub(super) const MARKERS: &[&str] = &[OPEN, CALL_ID, ARGS];

/// What has shown no JSON within so many bytes is no call: a name and an id are shorter.
const LONGEST_HEAD: usize = 512;

/// Finds `[TOOL_CALLS][{...}, ...]`, `[TOOL_CALLS]NAME{...}` and
/// `[TOOL_CALLS]NAME[CALL_ID]ID[ARGS]{...}`.
#[derive(Debug, Default)]
pub(in crate::output) struct Mistral {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Outside,
    /// The text begins with `[TOOL_CALLS]`; what follows is not known.
    Opened,
    /// JSON begins at `start`; what stands before it is named.
    Json {
        start: usize,
        end: JsonEnd,
        head: Option<Head>,
        preview: Preview,
    },
}

/// What stands before arguments.
#[derive(Debug)]
struct Head {
    name: String,
    id: Option<String>,
}

/// What follows `[TOOL_CALLS]`.
enum Body {
    /// JSON from here, perhaps behind a name.
    Json(usize, Option<Head>),
    /// Neither: up to here it is no call.
    Malformed(usize, &'static str),
    Unknown,
}

impl Mistral {
    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match &mut self.state {
            State::Outside => match find(held, OPEN) {
                Place::Found(at) => {
                    parts.text(&take(held, at));
                    self.state = State::Opened;
                    Step::Further
                }
                Place::NotBefore(at) => {
                    let at = if ended { held.len() } else { at };
                    parts.text(&take(held, at));
                    Step::Wait
                }
            },
            State::Opened => match read_head(held, ended) {
                Body::Json(start, head) => {
                    self.state = State::Json {
                        start,
                        end: JsonEnd::default(),
                        preview: match &head {
                            None => Preview::of_json(true),
                            Some(head) => Preview::of_arguments(&head.name),
                        },
                        head,
                    };
                    Step::Further
                }
                Body::Malformed(len, reason) => {
                    parts.malformed(&take(held, len), reason);
                    self.state = State::Outside;
                    Step::Further
                }
                Body::Unknown => Step::Wait,
            },
            State::Json {
                start,
                end,
                head,
                preview,
            } => {
                let Some(len) = end.look(&held[*start..]) else {
                    preview.look(&held[*start..], parts);
                    if ended {
                        parts.malformed(&std::mem::take(held), CUT_OFF);
                        self.state = State::Outside;
                    }
                    return Step::Wait;
                };
                let behind = *start + len;
                let json = &held[*start..behind];
                preview.look(json, parts);
                let outcome = match head.take() {
                    None => calls_of_json(json),
                    Some(Head { name, id }) => arguments_of_json(json).map(|arguments| {
                        vec![WrittenCall {
                            id,
                            name,
                            arguments,
                            untyped: false,
                            text: String::new(),
                        }]
                    }),
                };
                let outcome = preview.settle(outcome);
                parts.outcome(outcome, &take(held, behind));
                self.state = State::Outside;
                Step::Further
            }
        }
    }
}

/// Reads what stands between `[TOOL_CALLS]` and the JSON.
fn read_head(text: &str, ended: bool) -> Body {
    let beginning = &text[..text.floor_char_boundary(LONGEST_HEAD)];
    let is_all = beginning.len() == text.len();
    match read_beginning(beginning, ended && is_all) {
        Body::Unknown if !is_all => Body::Malformed(
            beginning.len(),
            "neither a list nor arguments follow soon enough",
        ),
        body => body,
    }
}

fn read_beginning(text: &str, ended: bool) -> Body {
    let at = |rest: &str| text.len() - rest.len();
    let unfinished = || {
        if ended {
            Body::Malformed(text.len(), CUT_OFF)
        } else {
            Body::Unknown
        }
    };
    let rest = text[OPEN.len()..].trim_start();
    if rest.is_empty() {
        return unfinished();
    }
    if rest.starts_with(['{', '[']) {
        return Body::Json(at(rest), None);
    }
    let end_of = |text: &str| text.find(|c: char| !is_name_char(c)).unwrap_or(text.len());
    let (name, mut rest) = rest.split_at(end_of(rest));
    if rest.is_empty() {
        return unfinished();
    }
    if name.is_empty() {
        return Body::Malformed(at(rest), "neither a list nor the name of a tool follows");
    }
    let mut id = None;
    match begins(rest, CALL_ID, ended) {
        Begins::Perhaps => return Body::Unknown,
        Begins::No => {}
        Begins::Yes => {
            let behind = &rest[CALL_ID.len()..];
            let (word, behind) = behind.split_at(end_of(behind));
            if behind.is_empty() {
                return unfinished();
            }
            id = Some(word.to_owned()).filter(|word| !word.is_empty());
            rest = behind;
        }
    }
    match begins(rest, ARGS, ended) {
        Begins::Perhaps => return Body::Unknown,
        Begins::No => {}
        Begins::Yes => rest = &rest[ARGS.len()..],
    }
    let rest = rest.trim_start();
    if rest.is_empty() {
        return unfinished();
    }
    if !rest.starts_with('{') {
        return Body::Malformed(at(rest), "no JSON object follows the name of the tool");
    }
    let name = name.to_owned();
    Body::Json(at(rest), Some(Head { name, id }))
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}
