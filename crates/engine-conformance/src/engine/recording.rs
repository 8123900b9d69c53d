//! What came out of one stream, exactly as it came.

use engine_core::{
    Error, FinishReason, GenerationEvent, GenerationStream, GenerationSummary, TokenId,
    TokenLogprobs, ToolCall,
};
use futures_util::StreamExt;

use super::previews::Previews;
use crate::case::{CaseResult, Stop, fail, in_words};

/// All items of a stream up to its `None`, or up to [`MOST_AFTER_THE_END`] items after its end.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) prefill: Vec<(usize, usize)>,
    /// The text and the tokens of each event of the answer; what is no text of it has none.
    pub(super) deltas: Vec<(String, Vec<TokenId>)>,
    pub(super) reasoning: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) invalid_calls: usize,
    pub(super) previews: Previews,
    pub(super) logprobs: Vec<TokenLogprobs>,
    pub(super) summary: Option<GenerationSummary>,
    pub(super) error: Option<Error>,
    /// What came out of order: each in words.
    pub(super) misplaced: Vec<String>,
    /// Events after `Done` or `Err`, in words.
    pub(super) after_the_end: Vec<String>,
}

/// An engine that never ends its stream must not fill the memory.
const MOST_AFTER_THE_END: usize = 8;

impl Recording {
    pub(super) async fn of(mut stream: GenerationStream) -> Self {
        let mut recording = Self::default();
        while let Some(item) = stream.next().await {
            if recording.is_over() {
                recording.after_the_end.push(format!("{item:?}"));
                if recording.after_the_end.len() == MOST_AFTER_THE_END {
                    break;
                }
                continue;
            }
            recording.add(item);
        }
        recording
    }

    fn is_over(&self) -> bool {
        self.summary.is_some() || self.error.is_some()
    }

    fn add(&mut self, item: engine_core::Result<GenerationEvent>) {
        match item {
            Ok(GenerationEvent::Prefill { processed, total }) => {
                if !self.deltas.is_empty() {
                    self.misplaced.push(format!(
                        "a prefill of {processed} tokens behind {} deltas",
                        self.deltas.len()
                    ));
                }
                self.prefill.push((processed, total));
            }
            Ok(GenerationEvent::Delta {
                text,
                tokens,
                logprobs,
            }) => {
                self.deltas.push((text, tokens));
                self.logprobs.extend(logprobs);
            }
            Ok(GenerationEvent::Reasoning {
                text,
                tokens,
                logprobs,
            }) => {
                self.reasoning.push_str(&text);
                self.deltas.push((String::new(), tokens));
                self.logprobs.extend(logprobs);
            }
            Ok(GenerationEvent::ToolCallDelta {
                index,
                name,
                arguments,
            }) => self.previews.add(index, name, &arguments),
            Ok(GenerationEvent::ToolCall {
                call,
                tokens,
                logprobs,
                ..
            }) => {
                self.previews.end(&call);
                self.calls.push(call);
                self.deltas.push((String::new(), tokens));
                self.logprobs.extend(logprobs);
            }
            Ok(GenerationEvent::InvalidToolCall {
                invalid,
                tokens,
                logprobs,
            }) => {
                self.invalid_calls += 1;
                self.previews.end_invalid(&invalid);
                self.deltas.push((invalid.text, tokens));
                self.logprobs.extend(logprobs);
            }
            Ok(GenerationEvent::Done(summary)) => {
                self.previews.finish();
                self.summary = Some(summary);
            }
            Ok(other) => self.misplaced.push(format!("an unknown event {other:?}")),
            Err(error) => self.error = Some(error),
        }
    }

    pub(super) fn text(&self) -> String {
        self.deltas.iter().map(|(text, _)| text.as_str()).collect()
    }

    pub(super) fn tokens(&self) -> Vec<TokenId> {
        let tokens = self.deltas.iter().flat_map(|(_, tokens)| tokens);
        tokens.copied().collect()
    }

    /// The answer, if the stream ended in `Done`.
    pub(super) fn into_answer(self) -> CaseResult<Answer> {
        let (text, tokens) = (self.text(), self.tokens());
        if let Some(error) = self.error {
            fail!("a generation failed: {}", in_words(&error));
        }
        let Some(summary) = self.summary else {
            fail!("a stream ended with neither Done nor an error");
        };
        Ok(Answer {
            text,
            reasoning: self.reasoning,
            calls: self.calls,
            invalid_calls: self.invalid_calls,
            previews: self.previews,
            tokens,
            logprobs: self.logprobs,
            summary,
        })
    }

    /// The error, if the stream ended in one.
    pub(super) fn into_error(self) -> CaseResult<Error> {
        let text = self.text();
        self.error.ok_or_else(|| {
            Stop::Failed(format!(
                "a generation that must fail gave {text:?} and {:?}",
                self.summary
            ))
        })
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) invalid_calls: usize,
    pub(super) previews: Previews,
    pub(super) tokens: Vec<TokenId>,
    pub(super) logprobs: Vec<TokenLogprobs>,
    pub(super) summary: GenerationSummary,
}

impl Answer {
    pub(super) fn finish(&self) -> &FinishReason {
        &self.summary.finish
    }

    /// Text, tokens and reason; times aside.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.text == other.text && self.tokens == other.tokens && self.finish() == other.finish()
    }

    pub(super) fn in_words(&self) -> String {
        format!("{:?} ({})", self.text, self.finish().name())
    }
}

/// Takes events up to the first delta.
pub(super) async fn first_delta(stream: &mut GenerationStream) -> CaseResult {
    loop {
        match stream.next().await {
            Some(Ok(GenerationEvent::Delta { .. })) => return Ok(()),
            Some(Ok(GenerationEvent::Prefill { .. })) => {}
            Some(Ok(other)) => fail!("a long generation ended before its first delta: {other:?}"),
            Some(Err(error)) => fail!("a long generation failed: {}", in_words(&error)),
            None => fail!("the stream ended without an event"),
        }
    }
}
