//! The tools of a request: whether a call that was read is one of them.

use std::{borrow::Cow, collections::BTreeMap};

use engine_core::{
    Error, Field, InvalidToolCall, Message, Result, ToolCall, ToolCallProblem, ToolDefinition,
};
use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::WrittenCall;

/// The tools that a model was offered, with their schemas ready.
#[derive(Debug)]
pub(crate) struct OfferedTools {
    tools: BTreeMap<String, Tool>,
    /// How many calls the chat has.
    calls: usize,
}

#[derive(Debug)]
struct Tool {
    schema: Map<String, Value>,
    validator: Validator,
}

impl OfferedTools {
    /// Compiles the schemas.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a schema that is none, or that refers to a document elsewhere.
    pub(crate) fn new(definitions: &[ToolDefinition], chat: &[Message]) -> Result<Self> {
        let mut tools = BTreeMap::new();
        for definition in definitions {
            let schema = definition.parameters();
            let validator =
                jsonschema::validator_for(&Value::Object(schema.clone())).map_err(|error| {
                    Error::InvalidParameter {
                        field: Field::Tools,
                        value: format!("parameters of {:?} ({error})", definition.name()),
                        expected: Cow::Borrowed("tools whose parameters are a sound JSON Schema"),
                    }
                })?;
            let schema = schema.clone();
            tools.insert(definition.name().to_owned(), Tool { schema, validator });
        }
        let calls = chat.iter().map(|message| message.tool_calls.len()).sum();
        Ok(Self { tools, calls })
    }

    /// Checks a call that was read.
    #[expect(clippy::result_large_err, reason = "either is a part of an answer")]
    pub(crate) fn check(&mut self, call: WrittenCall) -> Result<ToolCall, InvalidToolCall> {
        let WrittenCall {
            id,
            name,
            mut arguments,
            untyped,
            text,
        } = call;
        let tool = self.tools.get(&name);
        if let (Some(tool), true) = (tool, untyped) {
            read_texts(&mut arguments, &tool.schema);
        }
        // Nine letters and digits, which is what Mistral's templates insist on.
        let id = id.unwrap_or_else(|| format!("call{:05}", self.calls));
        self.calls += 1;
        let call = ToolCall::new(id, name, arguments);
        let Some(tool) = tool else {
            return Err(InvalidToolCall::new(
                text,
                ToolCallProblem::UnknownTool { call },
            ));
        };
        let instance = Value::Object(call.arguments.clone());
        match tool.validator.validate(&instance) {
            Ok(()) => Ok(call),
            Err(error) => {
                let path = error.instance_path().to_string();
                let place = if path.is_empty() {
                    String::new()
                } else {
                    format!(" at {path}")
                };
                let reason = format!("{error}{place}");
                let problem = ToolCallProblem::InvalidArguments { call, reason };
                Err(InvalidToolCall::new(text, problem))
            }
        }
    }
}

/// Reads as JSON what the format wrote as text, where the schema wants anything but a text.
fn read_texts(arguments: &mut Map<String, Value>, schema: &Map<String, Value>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in arguments {
        let property = properties.and_then(|properties| properties.get(name));
        if property.is_some_and(takes_text) {
            continue;
        }
        if let Some(read) = value.as_str().and_then(read_text) {
            *value = read;
        }
    }
}

fn takes_text(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        // Without a type the values say it.
        _ => schema
            .get("enum")
            .and_then(Value::as_array)
            .is_some_and(|values| values.iter().all(Value::is_string)),
    }
}

/// A JSON value, or one of Python's names for them.
fn read_text(text: &str) -> Option<Value> {
    match text.trim() {
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        "None" => Some(Value::Null),
        text => serde_json::from_str(text).ok(),
    }
}
