//! A chat as a prompt: rendered, with what its answer may hold.

use std::borrow::Cow;

use engine_core::{
    Error, Field, FieldSet, Message, ReasoningOptions, Result, ToolDefinition, ToolFormat,
    ToolOptions, ToolPrompt,
};

use super::answer::Answer;
use crate::{OutputGrammar, TextPipeline, ThinkingStart, text::ChatInput, tools::OfferedTools};

/// A chat turned into text.
pub(super) struct RenderedChat {
    pub(super) text: String,
    pub(super) grammar: OutputGrammar,
    pub(super) tools: Option<OfferedTools>,
}

impl RenderedChat {
    /// The answer to it, before its first token.
    pub(super) fn into_answer(self, stops: &[String], pipeline: &TextPipeline) -> Answer {
        if self.grammar.is_plain() {
            return Answer::plain(pipeline.detokenizer(), stops);
        }
        let detokenizer = pipeline.detokenizer_showing(&self.grammar.markers());
        Answer::parted(detokenizer, stops, &self.grammar, self.tools)
    }
}

/// Renders a chat and checks that its template does as the request asks.
pub(super) fn render(
    messages: &[Message],
    tools: &ToolOptions,
    reasoning: ReasoningOptions,
    pipeline: &TextPipeline,
) -> Result<RenderedChat> {
    let shown: &[ToolDefinition] = match tools.prompt {
        ToolPrompt::Template if tools.are_offered() => &tools.definitions,
        _ => &[],
    };
    let chat = ChatInput {
        messages,
        tools: shown,
        thinking: reasoning.thinking,
    };
    let text = pipeline.render(&chat)?;
    if !shown.is_empty() && renders_as(&ChatInput { tools: &[], ..chat }, &text, pipeline) {
        return Err(Error::UnsupportedByModel {
            field: Field::Tools,
            reason: Cow::Borrowed("its chat template does not show tools in this chat"),
        });
    }
    let grammar = grammar(&text, tools, pipeline);
    if let Some(on) = reasoning.thinking {
        let other = ChatInput {
            thinking: Some(!on),
            ..chat
        };
        if !thinks_anyway(&grammar, on) && renders_as(&other, &text, pipeline) {
            return Err(Error::UnsupportedByModel {
                field: Field::Thinking,
                reason: Cow::Borrowed("its chat template has no switch for thinking"),
            });
        }
    }
    let tools = grammar
        .calls
        .map(|_| OfferedTools::new(&tools.definitions, messages))
        .transpose()?;
    Ok(RenderedChat {
        text,
        grammar,
        tools,
    })
}

/// Whether a chat gives the same text. One that the template refuses gives another.
fn renders_as(chat: &ChatInput<'_>, text: &str, pipeline: &TextPipeline) -> bool {
    pipeline.render(chat).is_ok_and(|other| other == text)
}

/// Whether the model thinks, or does not, whatever it is told.
fn thinks_anyway(grammar: &OutputGrammar, on: bool) -> bool {
    if on {
        grammar.harmony || grammar.thinking.as_ref().is_some_and(|start| start.begun)
    } else {
        grammar.thinking.is_none() && !grammar.harmony
    }
}

/// What the answer to a rendered chat may hold.
fn grammar(prompt: &str, tools: &ToolOptions, pipeline: &TextPipeline) -> OutputGrammar {
    let style = pipeline.style();
    let calls = tools
        .are_offered()
        .then(|| tools.format.unwrap_or(style.calls));
    let thinking = style.thinking.clone().map(|tags| ThinkingStart {
        begun: prompt.trim_end().ends_with(tags.open.as_str()),
        tags,
    });
    let harmony = style.harmony || calls == Some(ToolFormat::Harmony);
    let names = tools.definitions.iter().map(|tool| tool.name().to_owned());
    OutputGrammar {
        thinking: thinking.filter(|_| !harmony),
        calls,
        tools: calls.map_or_else(Vec::new, |_| names.collect()),
        harmony,
    }
}

/// What the model's chat template and tokens allow beyond messages.
///
/// Found out by rendering: a template that gives the same text with and without a tool does not
/// show tools. One that refuses this chat may still do so in another.
pub(super) fn chat_fields(pipeline: &TextPipeline) -> FieldSet {
    let mut fields = FieldSet::NONE;
    if !pipeline.has_chat_template() {
        return fields;
    }
    let messages = [Message::user("Hello")];
    let chat = ChatInput::new(&messages);
    let differ = |one: &ChatInput<'_>, other: &ChatInput<'_>| match (
        pipeline.render(one),
        pipeline.render(other),
    ) {
        (Ok(one), Ok(other)) => one != other,
        _ => true,
    };
    let tools = ToolDefinition::without_parameters("hello", "Says hello.");
    let tools = tools.as_ref().map_or(&[][..], std::slice::from_ref);
    if differ(&chat, &ChatInput { tools, ..chat }) {
        fields = fields.with(Field::Tools);
    }
    let style = pipeline.style();
    if pipeline.call_form(style.calls).is_some() {
        fields = fields.with(Field::ToolChoice);
    }
    if style.thinking.is_none() && !style.harmony {
        return fields;
    }
    fields = fields.with(Field::ReasoningTokens);
    let [on, off] = [true, false].map(|on| ChatInput {
        thinking: Some(on),
        ..chat
    });
    let is_begun = || {
        let text = pipeline.render(&chat);
        text.is_ok_and(|text| {
            thinks_anyway(&grammar(&text, &ToolOptions::default(), pipeline), true)
        })
    };
    if differ(&on, &off) || is_begun() {
        fields = fields.with(Field::Thinking);
    }
    fields
}
