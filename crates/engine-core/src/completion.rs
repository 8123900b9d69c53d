//! A whole answer, put together from its events.

use std::future::poll_fn;

use serde::{Deserialize, Serialize};

use crate::{
    Error, GenerationEvent, GenerationStream, GenerationSummary, InvalidToolCall, Message, Result,
    TokenId, TokenLogprobs, ToolCall,
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
}

impl PartialCompletion {
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
            GenerationEvent::Prefill { .. } => {}
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
                self.take(tokens, logprobs);
            }
            GenerationEvent::ToolCall {
                call,
                tokens,
                logprobs,
                ..
            } => {
                self.tool_calls.push(call);
                self.take(tokens, logprobs);
            }
            GenerationEvent::InvalidToolCall {
                invalid,
                tokens,
                logprobs,
            } => {
                self.text.push_str(&invalid.text);
                self.invalid_tool_calls.push(invalid);
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

    fn take(&mut self, tokens: Vec<TokenId>, logprobs: Vec<TokenLogprobs>) {
        self.tokens.extend(tokens);
        self.logprobs.extend(logprobs);
    }
}
