//! A chat as templates see it: the variables that the `transformers` library gives them.

use std::{borrow::Cow, io};

use engine_core::{Message, Role, ToolCall, ToolDefinition};
use minijinja::{Value, value::Serde};
use serde::{Serialize, Serializer};
use serde_json::Map;

/// What a template is to render.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChatInput<'a> {
    /// The chat.
    pub(crate) messages: &'a [Message],
    /// Tools to show; empty: the template is given none.
    pub(crate) tools: &'a [ToolDefinition],
    /// The switch that templates call `enable_thinking` or `thinking`; `None`: it is not set.
    pub(crate) thinking: Option<bool>,
}

impl<'a> ChatInput<'a> {
    /// A chat without tools, thinking as the template has it by default.
    pub(crate) fn new(messages: &'a [Message]) -> Self {
        Self {
            messages,
            tools: &[],
            thinking: None,
        }
    }

    /// Whether the chat remembers calls.
    pub(super) fn has_calls(&self) -> bool {
        self.messages
            .iter()
            .any(|message| !message.tool_calls.is_empty())
    }

    /// The template's variables.
    pub(super) fn variables(&self, calls: CallForms) -> Value {
        Value::from(Serde(Variables {
            messages: self
                .messages
                .iter()
                .flat_map(|message| match calls {
                    CallForms::Listed(arguments) => vec![MessageForm::new(message, arguments)],
                    CallForms::Metadata => MessageForm::with_metadata(message),
                })
                .collect(),
            tools: Some(self.tools).filter(|tools| !tools.is_empty()),
            documents: None,
            add_generation_prompt: true,
            enable_thinking: self.thinking,
            thinking: self.thinking,
        }))
    }
}

/// How a template is told of calls that a chat remembers, and of their results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallForms {
    /// Calls in the list `tool_calls` of a message, results in messages of the role `tool`.
    Listed(Arguments),
    /// Each call in a message of its own, with the name as `metadata` and the arguments as content;
    /// results in messages of the role `observation`. GLM-4 and GLM-4-0414, as their page says:
    /// <https://huggingface.co/zai-org/GLM-4-32B-0414>.
    Metadata,
}

impl CallForms {
    /// The form that a template reads, which its source says.
    pub(super) fn of(source: &str) -> Self {
        if source.contains("metadata") && !source.contains("tool_calls") {
            Self::Metadata
        } else {
            Self::Listed(Arguments::Object)
        }
    }
}

/// How calls that a chat remembers show their arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// As an object, which most templates write as JSON themselves.
    Object,
    /// As a text of JSON, which some, such as `DeepSeek`'s, put in as it is.
    Text,
}

#[derive(Serialize)]
struct Variables<'a> {
    messages: Vec<MessageForm<'a>>,
    tools: Option<&'a [ToolDefinition]>,
    documents: Option<()>,
    add_generation_prompt: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    enable_thinking: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<bool>,
}

/// A message. Templates differ in what they call the thoughts.
#[derive(Serialize)]
struct MessageForm<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallForm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> MessageForm<'a> {
    fn new(message: &'a Message, arguments: Arguments) -> Self {
        let reasoning = message.reasoning.as_deref();
        Self {
            role: message.role.name(),
            content: Cow::Borrowed(&message.content),
            metadata: None,
            reasoning_content: reasoning,
            reasoning,
            thinking: reasoning,
            tool_calls: message
                .tool_calls
                .iter()
                .map(|call| CallForm {
                    id: &call.id,
                    kind: "function",
                    function: FunctionForm {
                        name: &call.name,
                        arguments: ArgumentsForm { call, arguments },
                    },
                })
                .collect(),
            tool_call_id: message.tool_call_id.as_deref(),
            name: message.name.as_deref(),
        }
    }

    /// A message as one of text, if it has any, and one for each call.
    fn with_metadata(message: &'a Message) -> Vec<Self> {
        let text = Self {
            role: match message.role {
                Role::Tool => "observation",
                role => role.name(),
            },
            tool_calls: Vec::new(),
            ..Self::new(message, Arguments::Object)
        };
        let calls = message.tool_calls.iter().map(|call| Self {
            role: message.role.name(),
            content: Cow::Owned(json_dumps(&call.arguments)),
            metadata: Some(&call.name),
            reasoning_content: None,
            reasoning: None,
            thinking: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        });
        let has_text = message.tool_calls.is_empty() || !message.content.is_empty();
        has_text.then_some(text).into_iter().chain(calls).collect()
    }
}

/// JSON with a space behind commas and colons, as Python's `json.dumps` writes it.
fn json_dumps(arguments: &Map<String, serde_json::Value>) -> String {
    let mut json = Vec::new();
    let mut to = serde_json::Serializer::with_formatter(&mut json, Spaced);
    // Writing a map of values to memory can't fail.
    let _ = arguments.serialize(&mut to);
    String::from_utf8(json).unwrap_or_default()
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

#[derive(Serialize)]
struct CallForm<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: FunctionForm<'a>,
}

#[derive(Serialize)]
struct FunctionForm<'a> {
    name: &'a str,
    arguments: ArgumentsForm<'a>,
}

struct ArgumentsForm<'a> {
    call: &'a ToolCall,
    arguments: Arguments,
}

impl Serialize for ArgumentsForm<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.arguments {
            Arguments::Object => self.call.arguments.serialize(to),
            Arguments::Text => serde_json::to_string(&self.call.arguments)
                .map_err(serde::ser::Error::custom)?
                .serialize(to),
        }
    }
}
