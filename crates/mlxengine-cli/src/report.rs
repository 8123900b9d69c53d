//! What a generation took, for people and for programs.

use mlxengine::{
    ComputeType, Field, GenerationSummary, InferenceEngine, InvalidToolCall, Timings, TokenId,
    TokenLogprobs, ToolCall, Usage,
};
use serde::Serialize;

use crate::{answer::Answer, failure::Failure};

/// What is known before the first token.
#[derive(Serialize)]
pub(crate) struct Start {
    model: String,
    backend: String,
    simulated: bool,
    device: String,
    compute: ComputeType,
    load_s: f64,
    /// The text that the model reads; null for a prompt of tokens.
    prompt: Option<String>,
    prompt_tokens: Vec<TokenId>,
}

impl Start {
    pub(crate) fn new(
        engine: &InferenceEngine,
        prompt: Option<String>,
        prompt_tokens: Vec<TokenId>,
    ) -> Self {
        let info = engine.info();
        Self {
            model: info.name.clone(),
            backend: info.model.backend.name.clone(),
            simulated: engine.is_simulated(),
            device: info.model.device.clone(),
            compute: info.model.compute,
            load_s: info.load_time.as_secs_f64(),
            prompt,
            prompt_tokens,
        }
    }
}

/// How an answer ended. Both forms have the same keys.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum End {
    Done(GenerationSummary),
    Interrupted {
        finish: Interrupted,
        usage: Usage,
        timings: Option<Timings>,
        seed: Option<u64>,
        ignored: [Field; 0],
    },
}

impl End {
    pub(crate) fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Whole(answer) => Self::Done(answer.summary.clone()),
            Answer::Interrupted(answer) => Self::Interrupted {
                finish: Interrupted {
                    reason: "interrupted",
                },
                usage: answer.usage(),
                timings: None,
                seed: None,
                ignored: [],
            },
        }
    }

    pub(crate) fn into_result(self) -> Result<(), Failure> {
        match self {
            Self::Done(_) => Ok(()),
            Self::Interrupted { .. } => Err(Failure::Interrupted),
        }
    }
}

/// A finish reason that only this program has.
#[derive(Serialize)]
pub(crate) struct Interrupted {
    reason: &'static str,
}

/// The one object of `--json`.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    #[serde(flatten)]
    start: &'a Start,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tool_calls: &'a [ToolCall],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    invalid_tool_calls: &'a [InvalidToolCall],
    tokens: &'a [TokenId],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    logprobs: &'a [TokenLogprobs],
    #[serde(flatten)]
    end: &'a End,
}

impl<'a> Report<'a> {
    pub(crate) fn of(start: &'a Start, answer: &'a Answer, end: &'a End) -> Self {
        match answer {
            Answer::Whole(answer) => Self {
                start,
                text: &answer.text,
                reasoning: answer.reasoning.as_deref().unwrap_or_default(),
                tool_calls: &answer.tool_calls,
                invalid_tool_calls: &answer.invalid_tool_calls,
                tokens: &answer.tokens,
                logprobs: &answer.logprobs,
                end,
            },
            Answer::Interrupted(answer) => Self {
                start,
                text: answer.text(),
                reasoning: answer.reasoning(),
                tool_calls: answer.tool_calls(),
                invalid_tool_calls: answer.invalid_tool_calls(),
                tokens: answer.tokens(),
                logprobs: answer.logprobs(),
                end,
            },
        }
    }
}

/// The first and the last line of `--json --stream`; those between are the engine's events.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    Start(&'a Start),
    Done(&'a End),
}

/// One line for a person: what was loaded.
pub(crate) fn loaded(engine: &InferenceEngine) -> String {
    let info = engine.info();
    format!(
        "{} on {} through {}, loaded in {:.2} s",
        info.name,
        info.model.device,
        info.model.backend.name,
        info.load_time.as_secs_f64()
    )
}

/// One line for a person: what an answer took.
pub(crate) fn statistics(summary: &GenerationSummary) -> String {
    let GenerationSummary {
        finish,
        usage,
        timings,
        seed,
        ignored,
    } = summary;
    let mut parts = vec![
        format!(
            "prompt {} tokens{}{}",
            usage.prompt_tokens,
            match usage.cached_prompt_tokens {
                0 => String::new(),
                cached => format!(", {cached} cached"),
            },
            rate(timings.prefill_tokens_per_second(usage))
        ),
        format!(
            "first token after {:.2} s",
            (timings.queue + timings.prefill).as_secs_f64()
        ),
        format!(
            "answer {} tokens{}{}",
            usage.generated_tokens,
            thought(usage),
            rate(timings.decode_tokens_per_second(usage))
        ),
        format!("ended by {}", finish.name()),
    ];
    if let Some(seed) = seed {
        parts.push(format!("seed {seed}"));
    }
    if !ignored.is_empty() {
        let names: Vec<&str> = ignored.iter().map(|field| field.name()).collect();
        parts.push(format!("ignored {}", names.join(", ")));
    }
    parts.join(" | ")
}

fn thought(usage: &Usage) -> String {
    match usage.reasoning_tokens {
        0 => String::new(),
        tokens => format!(", {tokens} of them thought"),
    }
}

fn rate(tokens_per_second: Option<f64>) -> String {
    tokens_per_second.map_or_else(String::new, |rate| format!(" ({rate:.1} tok/s)"))
}
