//! Calls behind a mark: `<|python_tag|>`, or what opens a code block.

use super::{
    super::{
        Parts, Step, WrittenCall,
        json_end::JsonEnd,
        object::{calls_of_json, looks_like_calls},
        preview::Preview,
        python_calls::calls_of_python,
        tags::{Begins, Place, Search, take},
    },
    CUT_OFF,
    candidate::begins_python_list,
};

pub(super) const PYTHON_TAG: &str = "<|python_tag|>";
pub(super) const TOOL_CODE: &str = "```tool_code";

const FENCE_END: &str = "```";

/// What may be a call, behind the mark that the text begins with.
#[derive(Debug)]
pub(super) struct Marked {
    kind: Kind,
    /// Where its body begins.
    start: usize,
    end: End,
    preview: Option<Preview>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Behind `<|python_tag|>`: JSON, or Python up to the end.
    PythonTag,
    /// A code block that must be a call.
    ToolCode,
    /// A code block that may be one.
    Block,
}

/// Where a body ends.
#[derive(Debug)]
enum End {
    /// With a line that begins with three marks.
    Fence(Search),
    /// With an object or list, behind white space.
    Value(JsonEnd),
    /// With the answer.
    Answer,
    /// Its beginning does not say yet.
    Unknown,
}

impl Marked {
    /// Behind this mark; the body begins at `start`.
    pub(super) fn new(mark: &str, start: usize) -> Self {
        let (kind, end) = match mark {
            PYTHON_TAG => (Kind::PythonTag, End::Unknown),
            TOOL_CODE => (Kind::ToolCode, End::Fence(Search::default())),
            _ => (Kind::Block, End::Fence(Search::default())),
        };
        Self {
            kind,
            start,
            end,
            preview: None,
        }
    }

    /// Whether another call may follow without a mark of its own.
    pub(super) fn goes_on(&self) -> bool {
        self.kind == Kind::PythonTag
    }

    /// Takes the call, or what turns out to be text, once it is whole: then the step is one
    /// further. A block that the answer's end cuts off may stay, as text.
    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let body = &held[self.start..];
        let end = self.end.look(body, ended);
        let known = match end {
            Some(len) => &body[..len],
            None if ended => body,
            // The end of a block may have begun.
            None => body.trim_end_matches('`'),
        };
        if self.preview.is_none() {
            self.preview = preview_behind(self.kind, known);
        }
        if let Some(preview) = &mut self.preview {
            preview.look(known, parts);
        }
        if end.is_none() && !ended {
            return Step::Wait;
        }
        let has_begun = self.preview.as_ref().is_some_and(Preview::has_begun);
        let outcome = match &self.end {
            End::Value(_) if end.is_none() => Err(CUT_OFF.to_owned()),
            End::Value(_) => calls_of_json(known),
            End::Answer | End::Unknown => calls_of_python(known),
            End::Fence(_) => calls_of_block(known.trim(), has_begun)
                // Some models leave the end of the block out.
                .map_err(|reason| end.map_or_else(|| CUT_OFF.to_owned(), |_| reason)),
        };
        let outcome = match &self.preview {
            Some(preview) => preview.settle(outcome),
            None => outcome,
        };
        let fence = match self.end {
            End::Fence(_) => FENCE_END,
            _ => "",
        };
        let behind = end.map_or(held.len(), |len| self.start + len + fence.len());
        if self.kind != Kind::Block || has_begun || outcome.is_ok() {
            parts.outcome(outcome, &take(held, behind));
        } else if end.is_some() {
            parts.text(&take(held, behind));
        }
        Step::Further
    }
}

impl End {
    /// The length of a body that has come so far, if it is whole.
    fn look(&mut self, body: &str, ended: bool) -> Option<usize> {
        if let Self::Unknown = self {
            *self = match form(body, ended)? {
                Form::Json => Self::Value(JsonEnd::default()),
                Form::Python => Self::Answer,
            };
        }
        match self {
            Self::Fence(search) => end_of_block(body, search),
            Self::Value(end) => {
                let value = body.trim_start();
                Some(body.len() - value.len() + end.look(value)?)
            }
            Self::Answer | Self::Unknown => ended.then_some(body.len()),
        }
    }
}

enum Form {
    Json,
    Python,
}

/// How a body is written; `None` while its beginning does not say.
fn form(body: &str, ended: bool) -> Option<Form> {
    let body = body.trim_start();
    match begins_python_list(body, ended) {
        Begins::Perhaps => None,
        _ if body.is_empty() && !ended => None,
        Begins::No if body.starts_with(['{', '[']) => Some(Form::Json),
        _ => Some(Form::Python),
    }
}

/// What is shown of a call while it is written: nothing of a block that may be no call, unless it
/// has an object with a name and arguments.
fn preview_behind(kind: Kind, body: &str) -> Option<Preview> {
    match (form(body, false)?, kind) {
        (Form::Python, Kind::Block) => None,
        (Form::Python, _) => Some(Preview::of_python()),
        (Form::Json, _) => Some(Preview::of_json(kind == Kind::PythonTag)),
    }
}

/// Where a code block ends: at three marks that begin a line.
fn end_of_block(body: &str, search: &mut Search) -> Option<usize> {
    while let Place::Found(at) = search.find(body, FENCE_END) {
        if body[..at].trim_end_matches([' ', '\t']).ends_with('\n') {
            return Some(at);
        }
        *search = Search::from(at + FENCE_END.len());
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
