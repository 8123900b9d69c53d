//! What stands between the tags of a call, in each of the forms that models have for it.

use serde_json::{Map, Value};

use super::super::{
    WrittenCall,
    object::{arguments_of_json, calls_of_json},
    python_calls::calls_of_python,
};

/// Separates the name from the arguments in `DeepSeek`'s calls.
pub(in crate::output) const DEEPSEEK_SEPARATOR: &str = "<｜tool▁sep｜>";
pub(in crate::output) const DEEPSEEK_BEGIN: &str = "<｜tool▁call▁begin｜>";
pub(in crate::output) const DEEPSEEK_END: &str = "<｜tool▁call▁end｜>";

/// Stands between the name and the arguments in its older calls.
pub(in crate::output) const DEEPSEEK_BLOCK: &str = "\n```json\n";

/// The calls that a body is.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn calls_of_body(body: &str) -> Result<Vec<WrittenCall>, String> {
    let body = body.trim();
    if body.starts_with("<function=") {
        functions(body)
    } else if body.starts_with(DEEPSEEK_BEGIN) {
        deepseek(body)
    } else if body.starts_with("call:") {
        super::gemma4::call(body).map(|call| vec![call])
    } else if begins_python(body) {
        calls_of_python(body)
    } else if body.starts_with(['{', '[']) {
        calls_of_json(body)
    } else {
        keys_and_values(body).map(|call| vec![call])
    }
}

/// `[NAME(`
fn begins_python(body: &str) -> bool {
    let name = body.strip_prefix('[').map(str::trim_start);
    name.is_some_and(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// `<function=NAME><parameter=KEY>VALUE</parameter>...</function>`, once or several times; values
/// may stand on lines of their own.
fn functions(body: &str) -> Result<Vec<WrittenCall>, String> {
    let mut calls = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (name, behind) = rest
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
        calls.push(untyped(name, arguments));
    }
    Ok(calls)
}

/// Where a parameter's value ends: before its closing tag, or, as a model may forget that, before
/// the next parameter or the call's end.
fn end_of_parameter(text: &str) -> Option<usize> {
    let ends = ["</parameter>", "\n<parameter=", "</function>"];
    text.match_indices(['<', '\n'])
        .map(|(at, _)| at)
        .find(|at| ends.iter().any(|end| text[*at..].starts_with(end)))
}

/// `NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...`
fn keys_and_values(body: &str) -> Result<WrittenCall, String> {
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

/// `BEGIN NAME SEPARATOR {...} END`, once or several times; before V3.1
/// `BEGIN function SEPARATOR NAME`, and the arguments in a code block.
fn deepseek(body: &str) -> Result<Vec<WrittenCall>, String> {
    let mut calls = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (call, behind) = rest
            .strip_prefix(DEEPSEEK_BEGIN)
            .ok_or("something else stands between its calls")?
            .split_once(DEEPSEEK_END)
            .ok_or("it has no end")?;
        let (name, arguments) = call
            .split_once(DEEPSEEK_SEPARATOR)
            .ok_or("nothing separates its name from its arguments")?;
        let block = arguments.split_once(DEEPSEEK_BLOCK);
        let (name, arguments) = match block {
            Some((name, arguments)) => (name, arguments.trim_end().trim_end_matches("```")),
            None => (name, arguments),
        };
        calls.push(WrittenCall {
            untyped: false,
            ..untyped(name, arguments_of_json(arguments)?)
        });
        rest = behind.trim_start();
    }
    Ok(calls)
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
