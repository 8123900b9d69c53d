//! Receives one answer from the engine.

use futures_util::{Stream, StreamExt as _};
use mlxengine::{
    GenerationEvent, GenerationSummary, InvalidToolCall, TokenId, TokenLogprobs, ToolCall, Usage,
};

use crate::{failure::Failure, interrupt::Interrupt};

/// An answer, or the part of it that came before Ctrl-C.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) invalid_tool_calls: Vec<InvalidToolCall>,
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) logprobs: Vec<TokenLogprobs>,
    prompt_tokens: usize,
    reasoning_tokens: usize,
    /// `None` if Ctrl-C ended the answer.
    pub(crate) summary: Option<GenerationSummary>,
}

impl Answer {
    /// The tokens counted here; those of the summary are the engine's own.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens,
            cached_prompt_tokens: self
                .summary
                .as_ref()
                .map_or(0, |summary| summary.usage.cached_prompt_tokens),
            generated_tokens: self.tokens.len(),
            reasoning_tokens: self.reasoning_tokens,
        }
    }

    fn take(&mut self, event: GenerationEvent) {
        match event {
            GenerationEvent::Prefill { total, .. } => self.prompt_tokens = total,
            GenerationEvent::Delta {
                text,
                tokens,
                logprobs,
            } => {
                self.text.push_str(&text);
                self.gain(tokens, logprobs);
            }
            GenerationEvent::Reasoning {
                text,
                tokens,
                logprobs,
            } => {
                self.reasoning.push_str(&text);
                self.reasoning_tokens += tokens.len();
                self.gain(tokens, logprobs);
            }
            GenerationEvent::ToolCall {
                call,
                tokens,
                logprobs,
                ..
            } => {
                self.tool_calls.push(call);
                self.gain(tokens, logprobs);
            }
            GenerationEvent::InvalidToolCall {
                invalid,
                tokens,
                logprobs,
            } => {
                self.text.push_str(&invalid.text);
                self.invalid_tool_calls.push(invalid);
                self.gain(tokens, logprobs);
            }
            GenerationEvent::Done(summary) => self.summary = Some(summary),
            _ => {}
        }
    }

    fn gain(&mut self, tokens: Vec<TokenId>, logprobs: Vec<TokenLogprobs>) {
        self.tokens.extend(tokens);
        self.logprobs.extend(logprobs);
    }
}

/// Shows every event as it comes. Ctrl-C drops the stream, which cancels the generation.
pub(crate) async fn receive(
    mut events: impl Stream<Item = Result<GenerationEvent, impl Into<Failure>>> + Unpin,
    interrupt: &mut Interrupt,
    mut show: impl FnMut(&GenerationEvent) -> Result<(), Failure>,
) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    while let Some(Some(event)) = interrupt.or(events.next()).await {
        let event = event.map_err(Into::into)?;
        show(&event)?;
        answer.take(event);
    }
    Ok(answer)
}
