//! Calls between tags: Hermes, Qwen, GLM.

use serde_json::{Map, Value};

use super::{
    super::{
        Parts, Step, WrittenCall,
        json_end::JsonEnd,
        object::calls_of_json,
        tags::{Place, find, take},
    },
    CUT_OFF,
};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

pub(super) const MARKERS: &[&str] = &[
    OPEN,
    CLOSE,
    // Special tokens of GLM-4.5.
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
];

/// Finds `<tool_call>...</tool_call>`.
#[derive(Debug, Default)]
pub(in crate::output) struct Tagged {
    /// Inside a call: how much of the text has been searched for its end.
    inside: Option<usize>,
}

impl Tagged {
    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let Some(searched) = self.inside else {
            return match find(held, OPEN) {
                Place::Found(at) => {
                    parts.text(&take(held, at));
                    self.inside = Some(OPEN.len());
                    Step::Further
                }
                Place::NotBefore(at) => {
                    let at = if ended { held.len() } else { at };
                    parts.text(&take(held, at));
                    Step::Wait
                }
            };
        };
        match find(&held[searched..], CLOSE) {
            Place::Found(at) => {
                let end = searched + at;
                let body = &held[OPEN.len()..end];
                let behind = end + CLOSE.len();
                // A closing tag inside a text is one of the arguments.
                if ends_in_text(body) {
                    self.inside = Some(behind);
                    return Step::Further;
                }
                let outcome = calls_of_body(body);
                parts.outcome(outcome, &take(held, behind));
                self.inside = None;
                Step::Further
            }
            Place::NotBefore(_) if ended => {
                // Some models leave the last closing tag out. What ends by itself is whole without.
                let body = &held[OPEN.len()..];
                let outcome = if body.trim_end().ends_with(['}', ']', '>']) {
                    calls_of_body(body).map_err(|_| CUT_OFF.to_owned())
                } else {
                    Err(CUT_OFF.to_owned())
                };
                parts.outcome(outcome, &std::mem::take(held));
                self.inside = None;
                Step::Wait
            }
            Place::NotBefore(at) => {
                self.inside = Some(searched + at);
                Step::Wait
            }
        }
    }
}

/// Whether a body of JSON ends inside a text.
fn ends_in_text(body: &str) -> bool {
    let body = body.trim_start();
    let mut end = JsonEnd::default();
    body.starts_with(['{', '[']) && end.look(body).is_none() && end.is_in_text()
}

fn calls_of_body(body: &str) -> Result<Vec<WrittenCall>, String> {
    let body = body.trim();
    if body.starts_with("<function=") {
        qwen3_coder(body)
    } else if body.starts_with(['{', '[']) {
        calls_of_json(body)
    } else {
        glm(body).map(|call| vec![call])
    }
}

/// `<function=NAME><parameter=KEY>VALUE</parameter>...</function>`, once or several times; values
/// stand on lines of their own.
fn qwen3_coder(body: &str) -> Result<Vec<WrittenCall>, String> {
    let mut calls = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (head, behind) = rest
            .strip_prefix("<function=")
            .and_then(|rest| rest.split_once('>'))
            .ok_or("it needs <function=NAME>")?;
        let mut arguments = Map::new();
        rest = behind.trim_start();
        while let Some(parameter) = rest.strip_prefix("<parameter=") {
            let (key, behind) = parameter
                .split_once('>')
                .ok_or("a <parameter=KEY> has no end")?;
            let end = end_of_parameter(behind).ok_or("a parameter has no </parameter>")?;
            let (value, behind) = behind.split_at(end);
            let value = value.strip_prefix('\n').unwrap_or(value);
            let value = value.strip_suffix('\n').unwrap_or(value);
            arguments.insert(key.trim().to_owned(), Value::from(value));
            rest = behind
                .strip_prefix("</parameter>")
                .unwrap_or(behind)
                .trim_start();
        }
        rest = rest
            .strip_prefix("</function>")
            .ok_or("it needs </function>")?
            .trim_start();
        calls.push(untyped(head, arguments));
    }
    Ok(calls)
}

/// Where a parameter's value ends: before its closing tag, or, as a model may forget that, before
/// the next parameter or the call's end.
fn end_of_parameter(text: &str) -> Option<usize> {
    ["</parameter>", "\n<parameter=", "</function>"]
        .iter()
        .filter_map(|tag| text.find(tag))
        .min()
}

/// `NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...`
fn glm(body: &str) -> Result<WrittenCall, String> {
    const SHAPE: &str = "it is no JSON object, and needs <arg_key> and <arg_value> otherwise";
    let (name, mut rest) = match body.split_once("<arg_key>") {
        Some((name, _)) => (name, &body[name.len()..]),
        None => (body, ""),
    };
    let name = name.trim();
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '<' || c == '{') {
        return Err(SHAPE.to_owned());
    }
    let mut arguments = Map::new();
    while !rest.is_empty() {
        let (key, behind) = rest
            .strip_prefix("<arg_key>")
            .and_then(|rest| rest.split_once("</arg_key>"))
            .ok_or(SHAPE)?;
        let (value, behind) = behind
            .trim_start()
            .strip_prefix("<arg_value>")
            .and_then(|rest| rest.split_once("</arg_value>"))
            .ok_or(SHAPE)?;
        arguments.insert(key.trim().to_owned(), Value::from(value));
        rest = behind.trim_start();
    }
    Ok(untyped(name, arguments))
}

fn untyped(name: &str, arguments: Map<String, Value>) -> WrittenCall {
    WrittenCall {
        id: None,
        name: name.trim().to_owned(),
        arguments,
        untyped: true,
        text: String::new(),
    }
}
