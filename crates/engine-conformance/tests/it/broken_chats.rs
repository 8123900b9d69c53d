//! Engines that break what they promise of tools and thoughts.

use engine_core::{
    Capabilities, Engine, Field, GenerateRequest, GenerationEvent, GenerationStream, Result,
    ToolCall, ToolChoice, ToolOptions, ValidRequest,
};
use engine_mock::{MockBackend, MockBuilder, Script};
use futures_util::{StreamExt, stream};

use crate::flawed_engine::{Flaw, assert_failed, sound_mock, suite};

/// Thinks for long, and then calls the tool that the suite offers.
fn thinking_mock() -> MockBuilder {
    let thought = "I should look that up. ".repeat(4);
    let reply = format!(
        "<think>\n{thought}\n</think>\n\nLet me see.<tool_call>{{\"name\": \
         \"look_up_7f3a\"}}</tool_call>"
    );
    MockBackend::builder().scripted(Script::new().reply(reply))
}

const CASES: [&str; 8] = [
    "the_text_of_a_prompt_is_what_the_model_reads",
    "tools_are_shown_or_refused",
    "a_tool_that_must_be_called_is_called_or_refused",
    "thinking_is_switched_or_refused",
    "the_parts_of_a_chats_answer_add_up",
    "a_call_is_of_a_tool_that_was_offered",
    "what_is_shown_of_a_call_comes_true",
    "thinking_ends_when_its_limit_is_reached",
];

/// Fails unless exactly these of the cases about chats fail.
#[track_caller]
fn assert_fails<F: Flaw>(flaw: impl Fn() -> F + Send + Sync + 'static, expected: &[&str]) {
    let suite = suite(thinking_mock(), flaw).with_answer_tokens(300);
    assert_failed(&suite.only(&CASES).run(), expected);
}

/// The request with one of its parts taken away.
fn without(
    request: &ValidRequest,
    engine: &dyn Engine,
    change: impl FnOnce(&mut GenerateRequest),
) -> Result<ValidRequest> {
    let mut plain = GenerateRequest::new(request.prompt().clone())
        .with_params(request.params().clone())
        .with_tools(request.tools().clone())
        .with_reasoning(request.reasoning());
    change(&mut plain);
    plain.validate("mock", &engine.capabilities())
}

/// Does not tell the model of tools.
struct HidesTools;

impl Flaw for HidesTools {
    fn prompt_text(&self, inner: &dyn Engine, request: &ValidRequest) -> Result<Option<String>> {
        let hidden = without(request, inner, |r| r.tools = ToolOptions::default())?;
        inner.prompt_text(&hidden)
    }
}

#[test]
fn tools_that_are_not_shown_fail() {
    assert_fails(|| HidesTools, &["tools_are_shown_or_refused"]);
}

/// Thinks as it likes.
struct IgnoresTheSwitch;

impl Flaw for IgnoresTheSwitch {
    fn prompt_text(&self, inner: &dyn Engine, request: &ValidRequest) -> Result<Option<String>> {
        let unset = without(request, inner, |r| r.reasoning.thinking = None)?;
        inner.prompt_text(&unset)
    }
}

#[test]
fn a_switch_that_does_nothing_fails() {
    assert_fails(|| IgnoresTheSwitch, &["thinking_is_switched_or_refused"]);
}

/// Thinks for as long as it likes.
struct IgnoresTheLimit;

impl Flaw for IgnoresTheLimit {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner.generate(without(&request, inner, |r| r.reasoning.max_tokens = None)?)
    }
}

#[test]
fn a_limit_that_is_not_kept_fails() {
    assert_fails(
        || IgnoresTheLimit,
        &["thinking_ends_when_its_limit_is_reached"],
    );
}

/// Takes a tool that must be called for one that may be.
struct MayCall;

impl Flaw for MayCall {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner.generate(without(&request, inner, |r| {
            r.tools.choice = ToolChoice::Auto;
        })?)
    }
}

#[test]
fn a_tool_that_need_not_be_called_fails() {
    assert_fails(
        || MayCall,
        &["a_tool_that_must_be_called_is_called_or_refused"],
    );
}

/// Claims neither tools nor thinking, as an engine of a plain model does.
struct ClaimsLittle;

impl Flaw for ClaimsLittle {
    fn capabilities(&self, inner: &dyn Engine) -> Capabilities {
        let capabilities = inner.capabilities();
        capabilities.with_fields(
            capabilities
                .fields
                .without(Field::Tools)
                .without(Field::Thinking)
                .without(Field::ReasoningTokens),
        )
    }
}

#[test]
fn an_engine_may_claim_neither_tools_nor_thinking() {
    assert_fails(|| ClaimsLittle, &[]);
}

fn rewritten(
    events: GenerationStream,
    rewrite: fn(GenerationEvent) -> Vec<GenerationEvent>,
) -> GenerationStream {
    Box::pin(events.flat_map(move |event| {
        let events = match event {
            Ok(event) => rewrite(event).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(events)
    }))
}

/// Changes each event.
struct Rewrite(fn(GenerationEvent) -> Vec<GenerationEvent>);

impl Flaw for Rewrite {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        Ok(rewritten(inner.generate(request)?, self.0))
    }
}

fn thoughts_are_lost(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::Reasoning { .. } => Vec::new(),
        other => vec![other],
    }
}

#[test]
fn lost_thoughts_fail() {
    assert_fails(
        || Rewrite(thoughts_are_lost),
        &[
            "the_parts_of_a_chats_answer_add_up",
            "a_call_is_of_a_tool_that_was_offered",
        ],
    );
}

fn thoughts_are_text(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::Reasoning {
            text,
            tokens,
            logprobs,
        } => {
            vec![GenerationEvent::Delta {
                text,
                tokens,
                logprobs,
            }]
        }
        other => vec![other],
    }
}

#[test]
fn thoughts_among_the_text_fail() {
    assert_fails(
        || Rewrite(thoughts_are_text),
        &["the_parts_of_a_chats_answer_add_up"],
    );
}

fn calls_another_tool(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::ToolCall {
            call,
            text,
            tokens,
            logprobs,
        } => {
            let call = ToolCall::new(call.id, "delete_everything", call.arguments);
            vec![GenerationEvent::ToolCall {
                call,
                text,
                tokens,
                logprobs,
            }]
        }
        other => vec![other],
    }
}

#[test]
fn a_call_of_another_tool_fails() {
    assert_fails(
        || Rewrite(calls_another_tool),
        &[
            "a_tool_that_must_be_called_is_called_or_refused",
            "a_call_is_of_a_tool_that_was_offered",
            "what_is_shown_of_a_call_comes_true",
        ],
    );
}

fn shows_another_tool(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::ToolCallDelta {
            index,
            name,
            arguments,
        } => vec![GenerationEvent::ToolCallDelta {
            index,
            name: name.map(|name| name + "_not"),
            arguments,
        }],
        other => vec![other],
    }
}

fn shows_other_arguments(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::ToolCallDelta { index, name, .. } => {
            vec![GenerationEvent::ToolCallDelta {
                index,
                name,
                arguments: "{\"all\": true}".to_owned(),
            }]
        }
        other => vec![other],
    }
}

fn shows_calls_that_never_come(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::ToolCallDelta {
            index,
            name,
            arguments,
        } => vec![GenerationEvent::ToolCallDelta {
            index: index + 1,
            name,
            arguments,
        }],
        other => vec![other],
    }
}

fn goes_on_with_calls_that_were_not_begun(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::ToolCallDelta {
            index, arguments, ..
        } => vec![GenerationEvent::ToolCallDelta {
            index,
            name: None,
            arguments,
        }],
        other => vec![other],
    }
}

#[test]
fn calls_that_are_not_what_was_shown_fail() {
    for rewrite in [
        shows_another_tool,
        shows_other_arguments,
        shows_calls_that_never_come,
        goes_on_with_calls_that_were_not_begun,
    ] {
        assert_fails(
            move || Rewrite(rewrite),
            &["what_is_shown_of_a_call_comes_true"],
        );
    }
}

fn calls_for_nothing(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::Done(summary) => vec![
            GenerationEvent::ToolCall {
                call: ToolCall::new("1", "look_up_7f3a", serde_json::Map::new()),
                text: String::new(),
                tokens: Vec::new(),
                logprobs: Vec::new(),
            },
            GenerationEvent::Done(summary),
        ],
        other => vec![other],
    }
}

#[test]
fn a_call_that_nothing_was_offered_for_fails() {
    assert_fails(
        || Rewrite(calls_for_nothing),
        &[
            "a_tool_that_must_be_called_is_called_or_refused",
            "the_parts_of_a_chats_answer_add_up",
        ],
    );
}

fn counts_no_thoughts(event: GenerationEvent) -> Vec<GenerationEvent> {
    match event {
        GenerationEvent::Done(mut summary) => {
            summary.usage.reasoning_tokens = 0;
            vec![GenerationEvent::Done(summary)]
        }
        other => vec![other],
    }
}

#[test]
fn thoughts_that_are_not_counted_fail() {
    assert_fails(
        || Rewrite(counts_no_thoughts),
        &["the_parts_of_a_chats_answer_add_up"],
    );
}

/// Says another text than the one that it reads.
struct TellsAnotherPrompt;

impl Flaw for TellsAnotherPrompt {
    fn prompt_text(&self, inner: &dyn Engine, request: &ValidRequest) -> Result<Option<String>> {
        let text = inner.prompt_text(request)?;
        Ok(text.map(|text| text.trim_end().to_owned() + "!"))
    }
}

#[test]
fn a_prompt_that_is_not_read_fails() {
    let suite = suite(sound_mock(), || TellsAnotherPrompt);
    let failed = suite.only(&CASES).run().failed();
    assert_eq!(failed, ["the_text_of_a_prompt_is_what_the_model_reads"]);
}
