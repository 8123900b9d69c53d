//! What a generation tells while it runs, and at its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Field, InvalidToolCall, TokenId, TokenLogprobs, ToolCall};

/// One event of a generation.
///
/// A stream is any number of `Prefill`, then any number of `Delta`, `Reasoning`, `ToolCallDelta`,
/// `ToolCall` and `InvalidToolCall`, then exactly one `Done`; or it ends early in one `Err`, and
/// nothing follows. The tokens of all events, in order, are those of the answer.
///
/// Where the prompt is no chat, and where the model marks off neither thoughts nor calls, the texts
/// of the deltas joined equal the decoded tokens, cut before the earliest stop string. Otherwise
/// the answer is cut into parts, and each event has the text of its own: joined in order they equal
/// the decoded tokens but for what stands between parts, which are the tags around thoughts, the
/// line breaks next to these tags, what names a part in gpt-oss, and what separates parts in Llama
/// 4 and GLM-4. The text of a call has its tags. Tags that are special tokens, which otherwise have
/// no text, count as text here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum GenerationEvent {
    /// Part of the prompt has been read. `processed` grows and ends at `total`.
    Prefill {
        /// Prompt tokens read so far, cached ones included.
        processed: usize,
        /// Prompt tokens in all.
        total: usize,
    },
    /// The answer has grown.
    Delta {
        /// Whole characters; empty while a token's bytes are part of a character, or while the
        /// text could still become a stop string.
        text: String,
        /// The tokens generated since the last delta. An end-of-text or stop token is not among them.
        tokens: Vec<TokenId>,
        /// One for each of the tokens, if
        /// [`GenerateParams::logprobs`](crate::GenerateParams::logprobs) asks for them; else empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogprobs>,
    },
    /// The model has thought on. This is no part of what it says.
    Reasoning {
        /// Whole characters, without the tags around the thinking.
        text: String,
        /// As in `Delta`.
        tokens: Vec<TokenId>,
        /// As in `Delta`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogprobs>,
    },
    /// The model is writing a call, or has written on: a preview.
    ///
    /// The call itself follows as `ToolCall` or `InvalidToolCall`, with its text and its tokens: who
    /// leaves previews out misses nothing. A `ToolCall` has the name that was shown, and the
    /// arguments that were, if any were. An [`InvalidToolCall`] that is
    /// [`Malformed`](crate::ToolCallProblem::Malformed) ends every call that is being written, since
    /// several may have been written as one.
    ///
    /// Formats whose arguments are JSON show them; the others, those in Python's form, Qwen3-Coder's,
    /// GLM-4.5's and Gemma 4's, show the name of the first of calls that are written as one. A call
    /// that ends with the token that begins it may have no preview.
    ToolCallDelta {
        /// How many `ToolCall` and `InvalidToolCall` come before that of this call.
        index: usize,
        /// The tool's name in the first event of a call, else `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What the arguments have got, as the model writes them; joined, a text of JSON.
        arguments: String,
    },
    /// The model has called a tool: the call is complete, the tool was offered, and the arguments
    /// fit its schema.
    ToolCall {
        /// The call.
        call: ToolCall,
        /// What the model wrote, with its tags; empty for all but the first of calls that were
        /// written as one.
        text: String,
        /// As in `Delta`.
        tokens: Vec<TokenId>,
        /// As in `Delta`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogprobs>,
    },
    /// The model has written what is meant as a call and can't be carried out.
    InvalidToolCall {
        /// What it wrote, and what is wrong with it.
        #[serde(flatten)]
        invalid: InvalidToolCall,
        /// As in `Delta`.
        tokens: Vec<TokenId>,
        /// As in `Delta`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogprobs>,
    },
    /// The answer is complete.
    Done(GenerationSummary),
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", content = "match", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its text with this token.
    EndOfText(TokenId),
    /// A token of [`GenerateParams::stop_tokens`](crate::GenerateParams::stop_tokens) came up.
    StopToken(TokenId),
    /// A text of [`GenerateParams::stop`](crate::GenerateParams::stop) came up.
    StopString(String),
    /// [`GenerateParams::max_tokens`](crate::GenerateParams::max_tokens) was reached.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// The answer has the form of
    /// [`GenerateParams::constraint`](crate::GenerateParams::constraint), or is the call of a tool that
    /// [had to be called](crate::ToolChoice::Required), and nothing could follow.
    ConstraintMet,
    /// [`GenerateParams::loop_guard`](crate::GenerateParams::loop_guard) found the answer repeating a
    /// piece of this many tokens.
    Loop(u32),
}

impl FinishReason {
    /// The reason's name in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EndOfText(_) => "end_of_text",
            Self::StopToken(_) => "stop_token",
            Self::StopString(_) => "stop_string",
            Self::MaxTokens => "max_tokens",
            Self::ContextFull => "context_full",
            Self::ConstraintMet => "constraint_met",
            Self::Loop(_) => "loop",
        }
    }
}

/// How many tokens a generation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that a cache of earlier prompts had, so that they were not read again.
    #[serde(default)]
    pub cached_prompt_tokens: usize,
    /// Tokens generated and delivered: those of all events together.
    pub generated_tokens: usize,
    /// Those of them that were spent on thinking, tags included.
    #[serde(default)]
    pub reasoning_tokens: usize,
}

/// Where the time of a generation went. In JSON, seconds as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From the request's arrival to the start of its prefill.
    #[serde(rename = "queue_s", with = "seconds")]
    pub queue: Duration,
    /// Reading the prompt, up to and including the choice of the first token.
    #[serde(rename = "prefill_s", with = "seconds")]
    pub prefill: Duration,
    /// From the first token to the last.
    #[serde(rename = "decode_s", with = "seconds")]
    pub decode: Duration,
}

impl Timings {
    /// Prompt tokens read a second, cached ones not counted; `None` when nothing was measured.
    pub fn prefill_tokens_per_second(&self, usage: &Usage) -> Option<f64> {
        rate(
            usage
                .prompt_tokens
                .saturating_sub(usage.cached_prompt_tokens),
            self.prefill,
        )
    }

    /// Generated tokens a second, the first one not counted, since prefill paid for it; `None` with
    /// fewer than two tokens.
    pub fn decode_tokens_per_second(&self, usage: &Usage) -> Option<f64> {
        rate(usage.generated_tokens.saturating_sub(1), self.decode)
    }
}

fn rate(tokens: usize, time: Duration) -> Option<f64> {
    (tokens > 0 && !time.is_zero()).then(|| tokens as f64 / time.as_secs_f64())
}

/// The end of a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationSummary {
    /// Why it ended.
    pub finish: FinishReason,
    /// Tokens.
    pub usage: Usage,
    /// Times.
    pub timings: Timings,
    /// The seed used: the request's, or the one that was drawn; `None` if no random choice was made.
    pub seed: Option<u64>,
    /// What the engine could not honour: empty unless the request was lenient.
    pub ignored: Vec<Field>,
}

mod seconds {
    //! Durations as seconds in JSON.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}
