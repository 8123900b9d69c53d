//! Calls written as JSON objects: `{"name": ..., "arguments": {...}}`.

use serde_json::{Map, Value};

use super::WrittenCall;

/// What models call the name of a tool.
pub(super) const NAME_KEYS: [&str; 4] = ["name", "function", "tool", "tool_name"];

/// What they call its arguments.
pub(super) const ARGUMENT_KEYS: [&str; 2] = ["arguments", "parameters"];

/// The calls that a text of JSON is: one object or several, or a list of them.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn calls_of_json(text: &str) -> Result<Vec<WrittenCall>, String> {
    let mut calls = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value.map_err(|error| format!("it is no JSON: {error}"))? {
            Value::Array(values) => {
                for value in values {
                    calls.push(call_of_value(value)?);
                }
            }
            value => calls.push(call_of_value(value)?),
        }
    }
    if calls.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(calls)
}

/// Whether the value, or each of a list, names a tool and has arguments: what an answer of JSON that
/// is no call does not.
pub(super) fn looks_like_calls(text: &str) -> bool {
    let is_call = |value: &Value| {
        let value = value
            .get("function")
            .filter(|inner| inner.is_object())
            .unwrap_or(value);
        let has_name = NAME_KEYS
            .iter()
            .any(|key| value.get(key).is_some_and(Value::is_string));
        has_name && ARGUMENT_KEYS.iter().any(|key| value.get(key).is_some())
    };
    match serde_json::from_str(text) {
        Ok(Value::Array(values)) => !values.is_empty() && values.iter().all(is_call),
        Ok(value) => is_call(&value),
        Err(_) => false,
    }
}

fn call_of_value(value: Value) -> Result<WrittenCall, String> {
    let Value::Object(mut object) = value else {
        return Err("it is no JSON object".to_owned());
    };
    let id = match object.remove("id") {
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        _ => None,
    };
    // As in OpenAI's API, name and arguments may be one level further in.
    if let Some(Value::Object(inner)) = object.get_mut("function") {
        object = std::mem::take(inner);
    }
    let name = NAME_KEYS
        .iter()
        .find_map(|key| object.get(*key)?.as_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .ok_or("it has no \"name\"")?;
    // Null says nothing, so that a key with another value counts before it.
    let arguments = ARGUMENT_KEYS.iter().find_map(|key| {
        let value = object.remove(*key);
        value.filter(|value| !value.is_null())
    });
    let arguments = match arguments {
        None => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(Value::String(json)) => arguments_of_json(&json)?,
        Some(_) => return Err("its arguments are no JSON object".to_owned()),
    };
    Ok(WrittenCall {
        id,
        name,
        arguments,
        untyped: false,
        text: String::new(),
    })
}

/// Arguments that are written by themselves; nothing is none.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn arguments_of_json(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err("its arguments are no JSON object".to_owned()),
        Err(error) => Err(format!("its arguments are no JSON: {error}")),
    }
}
