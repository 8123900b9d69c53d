//! A whole answer, put together from its events.

use std::future::poll_fn;

use serde::{Deserialize, Serialize};

use crate::{
    Error, GenerationEvent, GenerationStream, GenerationSummary, InvalidToolCall, Message, Result,
    TokenId, TokenLogprobs, ToolCall, ToolCallProblem, Usage,
};

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text: what the model says, and what was meant as a call and can't be carried out.
    pub text: String,
    /// What it thought before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The tools that it called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What was meant as a call and can't be carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid_tool_calls: Vec<InvalidToolCall>,
    /// All its tokens.
    pub tokens: Vec<TokenId>,
    /// One for each token, if the request asked for them; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprobs>,
    /// Why it ended, and what it took.
    pub summary: GenerationSummary,
}

impl Completion {
    /// Reads a generation to its end; `show` sees each event as it comes.
    ///
    /// # Errors
    /// The stream's, and [`Error::Backend`] for a stream that ends without its last event.
    pub async fn collect(
        mut events: GenerationStream,
        mut show: impl FnMut(&GenerationEvent),
    ) -> Result<Self> {
        let mut answer = PartialCompletion::default();
        while let Some(event) = poll_fn(|cx| events.as_mut().poll_next(cx)).await {
            let event = event?;
            show(&event);
            if let Some(completion) = answer.add(event) {
                return Ok(completion);
            }
        }
        Err(Error::backend(
            "unknown",
            "finish a generation",
            "the event stream ended without its last event",
        ))
    }

    /// The answer as the assistant's message, to go on with the chat.
    pub fn into_message(self) -> Message {
        Message::assistant(self.text)
            .with_reasoning(self.reasoning.unwrap_or_default())
            .with_tool_calls(self.tool_calls)
    }
}

/// An answer whose events are still coming.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartialCompletion {
    text: String,
    reasoning: String,
    tool_calls: Vec<ToolCall>,
    invalid_tool_calls: Vec<InvalidToolCall>,
    tokens: Vec<TokenId>,
    logprobs: Vec<TokenLogprobs>,
    previews: Vec<ToolCallPreview>,
    usage: Usage,
}

/// A call that the model is writing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCallPreview {
    /// Its place among the calls of the answer, those that can't be carried out included.
    pub index: usize,
    /// The tool's name.
    pub name: String,
    /// What has come of its arguments, as the model writes them; empty in formats whose arguments
    /// are no JSON.
    pub arguments: String,
}

impl PartialCompletion {
    /// What the model says so far, as in [`Completion::text`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it has thought so far.
    pub fn reasoning(&self) -> &str {
        &self.reasoning
    }

    /// The calls that are complete.
    pub fn tool_calls(&self) -> &[ToolCall] {
        &self.tool_calls
    }

    /// What was meant as a call and can't be carried out.
    pub fn invalid_tool_calls(&self) -> &[InvalidToolCall] {
        &self.invalid_tool_calls
    }

    /// The calls that are being written, to show them while they are.
    pub fn tool_call_previews(&self) -> &[ToolCallPreview] {
        &self.previews
    }

    /// The tokens that have come.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// One for each token, if the request asked for them; else empty.
    pub fn logprobs(&self) -> &[TokenLogprobs] {
        &self.logprobs
    }

    /// The tokens counted so far. Those of the summary are the engine's own, which knows of cached
    /// ones too.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether nothing has come that a message could hold.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.reasoning.is_empty() && self.tool_calls.is_empty()
    }

    /// What has come, as the assistant's message.
    pub fn to_message(&self) -> Message {
        Message::assistant(self.text.clone())
            .with_reasoning(self.reasoning.clone())
            .with_tool_calls(self.tool_calls.clone())
    }

    /// Adds an event; the last one gives the answer, and leaves nothing.
    pub fn add(&mut self, event: GenerationEvent) -> Option<Completion> {
        match event {
            GenerationEvent::Prefill { total, .. } => self.usage.prompt_tokens = total,
            GenerationEvent::Delta {
                text,
                tokens,
                logprobs,
            } => {
                self.text.push_str(&text);
                self.take(tokens, logprobs);
            }
            GenerationEvent::Reasoning {
                text,
                tokens,
                logprobs,
            } => {
                self.reasoning.push_str(&text);
                self.usage.reasoning_tokens += tokens.len();
                self.take(tokens, logprobs);
            }
            GenerationEvent::ToolCallDelta {
                index,
                name,
                arguments,
            } => self.preview(index, name, &arguments),
            GenerationEvent::ToolCall {
                call,
                tokens,
                logprobs,
                ..
            } => {
                self.tool_calls.push(call);
                self.end_previews(false);
                self.take(tokens, logprobs);
            }
            GenerationEvent::InvalidToolCall {
                invalid,
                tokens,
                logprobs,
            } => {
                self.text.push_str(&invalid.text);
                let all = matches!(invalid.problem, ToolCallProblem::Malformed { .. });
                self.invalid_tool_calls.push(invalid);
                self.end_previews(all);
                self.take(tokens, logprobs);
            }
            GenerationEvent::Done(summary) => {
                let Self {
                    text,
                    reasoning,
                    tool_calls,
                    invalid_tool_calls,
                    tokens,
                    logprobs,
                    previews: _,
                    usage: _,
                } = std::mem::take(self);
                return Some(Completion {
                    text,
                    reasoning: Some(reasoning).filter(|reasoning| !reasoning.is_empty()),
                    tool_calls,
                    invalid_tool_calls,
                    tokens,
                    logprobs,
                    summary,
                });
            }
        }
        None
    }

    fn preview(&mut self, index: usize, name: Option<String>, arguments: &str) {
        if let Some(name) = name {
            self.previews.push(ToolCallPreview {
                index,
                name,
                arguments: String::new(),
            });
        }
        let call = self.previews.iter_mut().find(|call| call.index == index);
        if let Some(call) = call {
            call.arguments.push_str(arguments);
        }
    }

    /// Forgets the previews of calls that have come, or all.
    fn end_previews(&mut self, all: bool) {
        let calls = self.tool_calls.len() + self.invalid_tool_calls.len();
        self.previews.retain(|call| !all && call.index >= calls);
    }

    fn take(&mut self, tokens: Vec<TokenId>, logprobs: Vec<TokenLogprobs>) {
        self.usage.generated_tokens += tokens.len();
        self.tokens.extend(tokens);
        self.logprobs.extend(logprobs);
    }
}
