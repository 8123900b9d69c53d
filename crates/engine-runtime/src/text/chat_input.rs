//! A chat as templates see it: the variables that the `transformers` library gives them.

use engine_core::{Message, ToolCall, ToolDefinition};
use minijinja::{Value, value::Serde};
use serde::{Serialize, Serializer};

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
    pub(super) fn variables(&self, arguments: Arguments) -> Value {
        Value::from(Serde(Variables {
            messages: self
                .messages
                .iter()
                .map(|message| MessageForm::new(message, arguments))
                .collect(),
            tools: Some(self.tools).filter(|tools| !tools.is_empty()),
            documents: None,
            add_generation_prompt: true,
            enable_thinking: self.thinking,
            thinking: self.thinking,
        }))
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
    content: &'a str,
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
            content: &message.content,
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
