//! Receives one answer from the engine.

use futures_util::StreamExt as _;
use mlxengine::{
    GenerationEvent, GenerationStream, GenerationSummary, TokenId, TokenLogprobs, Usage,
};

use crate::{failure::Failure, interrupt::Interrupt};

/// An answer, or the part of it that came before Ctrl-C.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) logprobs: Vec<TokenLogprobs>,
    prompt_tokens: usize,
    /// `None` if Ctrl-C ended the answer.
    pub(crate) summary: Option<GenerationSummary>,
}

impl Answer {
    /// The tokens counted here; those of the summary are the engine's own.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens,
            generated_tokens: self.tokens.len(),
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
                self.tokens.extend(tokens);
                self.logprobs.extend(logprobs);
            }
            GenerationEvent::Done(summary) => self.summary = Some(summary),
            _ => {}
        }
    }
}

/// Shows every event as it comes. Ctrl-C drops the stream, which cancels the generation.
pub(crate) async fn receive(
    mut events: GenerationStream,
    interrupt: &mut Interrupt,
    mut show: impl FnMut(&GenerationEvent) -> Result<(), Failure>,
) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    while let Some(Some(event)) = interrupt.or(events.next()).await {
        let event = event.map_err(Failure::Run)?;
        show(&event)?;
        answer.take(event);
    }
    Ok(answer)
}
