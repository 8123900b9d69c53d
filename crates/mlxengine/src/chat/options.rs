//! How a chat behaves where there is a choice.

use engine_core::{
    GenerateParams, GenerateRequest, Leniency, Message, ReasoningOptions, ToolOptions,
};
use serde::{Deserialize, Serialize};

/// What to do when the chat no longer fits into the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overflow {
    /// Refuse the turn with [`Error::ContextOverflow`](crate::Error::ContextOverflow).
    #[default]
    Refuse,
    /// Leave the oldest turns out of what the model reads. A turn is a message of the user and all
    /// that follows up to the next one. Instructions always stay, as does the last turn; what can't
    /// be made to fit is refused.
    ///
    /// The prompt is brought down to half of the context at once, so that the turns that follow
    /// begin alike and are served from the engine's cache. The history keeps everything;
    /// [`ChatEvent::LeftOut`](crate::ChatEvent::LeftOut) says what the model no longer reads.
    DropOldest,
}

/// What a turn does that comes while another one is being answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenBusy {
    /// Wait until the other one is over; turns are answered in the order of their first poll.
    #[default]
    Wait,
    /// Fail with [`ChatError::Busy`](crate::ChatError::Busy).
    Refuse,
}

/// What becomes of an answer whose stream is dropped before its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenCancelled {
    /// It is kept as far as it came, together with its question. Where no text has come, the
    /// history is as it was before.
    #[default]
    KeepPart,
    /// The history is as it was before.
    Discard,
}

/// Settings of a chat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ChatOptions {
    /// How to generate; `None` for the settings of the engine.
    pub params: Option<GenerateParams>,
    /// Tools that the model may call. Who calls them answers with a message of the tool, and
    /// [`ChatSession::answer`](crate::ChatSession::answer) goes on.
    pub tools: ToolOptions,
    /// Whether and how long the model may think.
    pub reasoning: ReasoningOptions,
    /// What to do with settings that the engine can't honour.
    pub leniency: Leniency,
    /// What to do when the context is full.
    pub overflow: Overflow,
    /// Tokens of the context that are kept free for an answer when turns are dropped; `None` for
    /// [`GenerateParams::max_tokens`], but no more than a quarter of the context.
    pub answer_room: Option<usize>,
    /// What to do while another turn is being answered.
    pub when_busy: WhenBusy,
    /// What to do with an answer that was cancelled.
    pub when_cancelled: WhenCancelled,
}

impl ChatOptions {
    /// With other generation settings.
    #[must_use]
    pub fn with_params(mut self, params: GenerateParams) -> Self {
        self.params = Some(params);
        self
    }

    /// With tools that the model may call.
    #[must_use]
    pub fn with_tools(mut self, tools: ToolOptions) -> Self {
        self.tools = tools;
        self
    }

    /// With thinking on, off or limited.
    #[must_use]
    pub fn with_reasoning(mut self, reasoning: ReasoningOptions) -> Self {
        self.reasoning = reasoning;
        self
    }

    /// Settings that the engine can't honour are ignored, and listed in the summary.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.leniency = Leniency::Lenient;
        self
    }

    /// With another policy for a full context.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// With this many tokens kept free for an answer.
    #[must_use]
    pub fn with_answer_room(mut self, tokens: usize) -> Self {
        self.answer_room = Some(tokens);
        self
    }

    /// With another policy for turns that come while one is being answered.
    #[must_use]
    pub fn when_busy(mut self, policy: WhenBusy) -> Self {
        self.when_busy = policy;
        self
    }

    /// With another policy for cancelled answers.
    #[must_use]
    pub fn when_cancelled(mut self, policy: WhenCancelled) -> Self {
        self.when_cancelled = policy;
        self
    }

    /// The request for an answer to these messages.
    pub(super) fn request(
        &self,
        messages: impl Into<Vec<Message>>,
        params: GenerateParams,
    ) -> GenerateRequest {
        let mut request = GenerateRequest::chat(messages)
            .with_params(params)
            .with_tools(self.tools.clone())
            .with_reasoning(self.reasoning);
        request.leniency = self.leniency;
        request
    }
}
