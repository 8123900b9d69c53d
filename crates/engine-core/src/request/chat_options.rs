//! The checks of what belongs to a chat: its messages, tools and thinking.

use std::{borrow::Cow, collections::BTreeSet};

use super::{GenerateRequest, Leniency, Prompt};
use crate::{
    Capabilities, Error, Field, FieldSet, Message, ReasoningOptions, Result, Role, ToolChoice,
    ToolOptions, ToolPrompt,
};

/// Checks a request's chat options; what a lenient request does without is made neutral and
/// returned.
pub(super) fn validate_chat_options(
    request: &mut GenerateRequest,
    backend: &str,
    capabilities: &Capabilities,
) -> Result<FieldSet> {
    match &request.prompt {
        Prompt::Messages(messages) => {
            for message in messages {
                validate_message(message)?;
            }
        }
        _ => needs_messages(request)?,
    }
    validate_names(&request.tools)?;
    let mut ignored = FieldSet::NONE;
    let has = |field| capabilities.fields.contains(field);
    let must_call = matches!(
        request.tools.choice,
        ToolChoice::Required | ToolChoice::Named(_)
    );
    if must_call && !has(Field::ToolChoice) {
        if request.leniency == Leniency::Strict {
            return Err(Error::Unsupported {
                backend: backend.to_owned(),
                field: Field::ToolChoice,
            });
        }
        request.tools.choice = ToolChoice::Auto;
        ignored = ignored.with(Field::ToolChoice);
    } else if must_call && request.params.constraint.is_some() {
        return Err(invalid(
            Field::ToolChoice,
            "a tool that must be called, in a request with a constraint",
            "\"auto\" or \"none\" where the answer has a constraint, since the call is the whole answer",
        ));
    }
    if request.tools.are_offered()
        && request.tools.prompt == ToolPrompt::Template
        && !has(Field::Tools)
    {
        return Err(Error::UnsupportedByModel {
            field: Field::Tools,
            reason: Cow::Borrowed("its chat template does not show tools"),
        });
    }
    let ReasoningOptions {
        thinking,
        max_tokens,
    } = request.reasoning;
    if thinking == Some(true) && !has(Field::Thinking) {
        return Err(Error::UnsupportedByModel {
            field: Field::Thinking,
            reason: Cow::Borrowed("its chat template has no switch for thinking"),
        });
    }
    if max_tokens.is_some() && !has(Field::ReasoningTokens) {
        return Err(Error::UnsupportedByModel {
            field: Field::ReasoningTokens,
            reason: Cow::Borrowed("it does not mark off what it thinks"),
        });
    }
    Ok(ignored)
}

/// Without messages there is nothing that could show tools or begin to think.
fn needs_messages(request: &GenerateRequest) -> Result<()> {
    let ReasoningOptions {
        thinking,
        max_tokens,
    } = request.reasoning;
    for (field, is_set) in [
        (Field::Tools, !request.tools.definitions.is_empty()),
        (Field::Thinking, thinking.is_some()),
        (Field::ReasoningTokens, max_tokens.is_some()),
    ] {
        if is_set {
            return Err(invalid(
                field,
                "set for a prompt of text or tokens",
                "left unset unless the prompt is messages",
            ));
        }
    }
    Ok(())
}

/// What a message has beside its content must belong to its role.
fn validate_message(message: &Message) -> Result<()> {
    let role = message.role;
    let has_calls = !message.tool_calls.is_empty();
    let has_reasoning = message.reasoning.is_some();
    if role != Role::Assistant && (has_calls || has_reasoning) {
        return Err(invalid(
            Field::Messages,
            &format!("a message of the {role} with reasoning or calls of tools"),
            "messages of which only those of the assistant have reasoning and calls",
        ));
    }
    if role != Role::Tool && message.tool_call_id.is_some() {
        return Err(invalid(
            Field::Messages,
            &format!("a message of the {role} with tool_call_id"),
            "messages of which only those of the role tool are results of calls",
        ));
    }
    Ok(())
}

/// A name must say which tool is meant, and a tool that must be called must be there.
fn validate_names(tools: &ToolOptions) -> Result<()> {
    let mut names = BTreeSet::new();
    for tool in &tools.definitions {
        if !names.insert(tool.name()) {
            return Err(invalid(
                Field::Tools,
                &format!("two tools named {:?}", tool.name()),
                "tools of different names",
            ));
        }
    }
    match &tools.choice {
        ToolChoice::Named(name) if !names.contains(name.as_str()) => Err(invalid(
            Field::ToolChoice,
            &format!("{name:?}"),
            "the name of one of the tools",
        )),
        ToolChoice::Required if names.is_empty() => Err(invalid(
            Field::ToolChoice,
            "\"required\" without tools",
            "\"auto\" or \"none\" where there are no tools",
        )),
        _ => Ok(()),
    }
}

fn invalid(field: Field, value: &str, expected: &'static str) -> Error {
    Error::InvalidParameter {
        field,
        value: value.to_owned(),
        expected: Cow::Borrowed(expected),
    }
}
