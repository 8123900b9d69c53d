//! Calls while they are written: which tool, and the text of the arguments as it comes.
//!
//! A preview depends on the text alone, as all of this module does. It shows nothing that the call
//! does not say in the end: one that turns out to say something else is malformed.

mod arguments;
mod deepseek;
mod json;
mod names;

use serde_json::{Map, Value};

use self::{arguments::ArgumentsScan, deepseek::DeepSeekScan, json::JsonScan};
use super::{Parts, WrittenCall, calls::DEEPSEEK_BEGIN};

/// Follows the text of one call, or of several that are written as one.
#[derive(Debug)]
pub(super) struct Preview {
    scan: Box<Scan>,
    shown: Shown,
}

/// Where the names and arguments are.
#[derive(Debug)]
enum Scan {
    /// Between tags, in a form that its beginning tells.
    Body,
    /// In objects.
    Json(JsonScan),
    /// The text is the arguments of the tool of this name, if they are shown.
    Named(String, Option<ArgumentsScan>),
    Arguments(ArgumentsScan),
    DeepSeek(DeepSeekScan),
    /// At the text's beginning; arguments that are no JSON are not shown.
    Name(names::Form),
    /// There is no more to show.
    Over,
}

/// What has been shown.
#[derive(Debug, Default)]
struct Shown {
    calls: Vec<ShownCall>,
}

#[derive(Debug)]
struct ShownCall {
    name: String,
    arguments: String,
}

impl Shown {
    fn begin(&mut self, name: &str, parts: &mut Parts) {
        self.calls.push(ShownCall {
            name: name.to_owned(),
            arguments: String::new(),
        });
        parts.begin_call(name);
    }

    /// Adds to the arguments of the call that was begun last.
    fn add(&mut self, arguments: &str, parts: &mut Parts) {
        if let Some(call) = self.calls.last_mut() {
            call.arguments.push_str(arguments);
            parts.call_arguments(arguments);
        }
    }
}

impl Preview {
    /// Of what stands between tags.
    pub(super) fn of_body() -> Self {
        Self::new(Scan::Body)
    }

    /// Of objects. Where it is not `certain` that they are calls, they are shown once they have
    /// arguments.
    pub(super) fn of_json(certain: bool) -> Self {
        Self::new(Scan::Json(JsonScan::new(certain)))
    }

    /// Of the tool of this name, where the text is its arguments.
    pub(super) fn of_arguments(name: &str) -> Self {
        Self::new(Scan::Named(name.to_owned(), Some(ArgumentsScan::default())))
    }

    /// Of the tool of this name, where its arguments are no JSON.
    pub(super) fn of_name(name: &str) -> Self {
        Self::new(Scan::Named(name.to_owned(), None))
    }

    /// Of calls in Python's form.
    pub(super) fn of_python() -> Self {
        Self::new(Scan::Name(names::Form::Python))
    }

    fn new(scan: Scan) -> Self {
        Self {
            scan: Box::new(scan),
            shown: Shown::default(),
        }
    }

    /// Whether anything was shown.
    pub(super) fn has_begun(&self) -> bool {
        !self.shown.calls.is_empty()
    }

    /// Shows what the text has got since the last look. It is what it was then, with more behind.
    pub(super) fn look(&mut self, text: &str, parts: &mut Parts) {
        loop {
            let next = match &mut *self.scan {
                Scan::Over => return,
                Scan::Body => match scan_of_body(text) {
                    Some(scan) => scan,
                    None => return,
                },
                Scan::Named(name, arguments) => {
                    self.shown.begin(name, parts);
                    arguments.take().map_or(Scan::Over, Scan::Arguments)
                }
                Scan::Arguments(scan) => {
                    scan.look(text, &mut self.shown, parts);
                    return;
                }
                Scan::Json(scan) => {
                    scan.look(text, &mut self.shown, parts);
                    return;
                }
                Scan::DeepSeek(scan) => {
                    scan.look(text, &mut self.shown, parts);
                    return;
                }
                Scan::Name(form) => match form.name(text) {
                    names::Name::Found(name) => {
                        self.shown.begin(name, parts);
                        Scan::Over
                    }
                    names::Name::None => Scan::Over,
                    names::Name::Unknown => return,
                },
            };
            *self.scan = next;
        }
    }

    /// The calls, if they are those that were shown.
    pub(super) fn settle(
        &self,
        outcome: Result<Vec<WrittenCall>, String>,
    ) -> Result<Vec<WrittenCall>, String> {
        let calls = outcome?;
        let mut read = calls.iter();
        for shown in &self.shown.calls {
            let call = read.next().ok_or("it holds fewer calls than it began")?;
            shown.check(call)?;
        }
        Ok(calls)
    }
}

impl ShownCall {
    /// A key of JSON may stand in a call twice. Where both say the same it is the call; otherwise
    /// which of them is meant is not for a parser to say.
    fn check(&self, call: &WrittenCall) -> Result<(), String> {
        if self.name != call.name {
            let (one, other) = (&self.name, &call.name);
            return Err(format!("it names two tools, {one:?} and {other:?}"));
        }
        let is_same = self.arguments.is_empty()
            || serde_json::from_str::<Map<String, Value>>(&self.arguments)
                .is_ok_and(|arguments| arguments == call.arguments);
        is_same.then_some(()).ok_or_else(|| {
            format!(
                "it gives arguments of {:?} twice, and they differ",
                call.name
            )
        })
    }
}

/// How a text between tags is written; `None` while its beginning does not say.
fn scan_of_body(text: &str) -> Option<Scan> {
    let body = text.trim_start();
    let forms = [names::FUNCTION, DEEPSEEK_BEGIN, names::CALL];
    let is_short = forms.iter().any(|form| form.starts_with(body));
    if is_short && !forms.contains(&body) {
        return None;
    }
    Some(if body.starts_with(names::FUNCTION) {
        Scan::Name(names::Form::Function)
    } else if body.starts_with(DEEPSEEK_BEGIN) {
        Scan::DeepSeek(DeepSeekScan::default())
    } else if body.starts_with(names::CALL) {
        Scan::Name(names::Form::Call)
    } else if let Some(items) = body.strip_prefix('[') {
        match items.trim_start().chars().next()? {
            c if c.is_alphabetic() || c == '_' => Scan::Name(names::Form::Python),
            _ => Scan::Json(JsonScan::new(true)),
        }
    } else if body.starts_with('{') {
        Scan::Json(JsonScan::new(true))
    } else {
        Scan::Name(names::Form::Line)
    })
}
