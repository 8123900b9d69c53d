//! An answer put together from its events.

use std::time::Duration;

use engine_core::{
    FinishReason, GenerationEvent, GenerationSummary, InvalidToolCall, PartialCompletion, Timings,
    ToolCall, ToolCallProblem, Usage,
};
use serde_json::Map;

fn begin(index: usize, name: &str) -> GenerationEvent {
    GenerationEvent::ToolCallDelta {
        index,
        name: Some(name.into()),
        arguments: String::new(),
    }
}

fn arguments(index: usize, piece: &str) -> GenerationEvent {
    GenerationEvent::ToolCallDelta {
        index,
        name: None,
        arguments: piece.into(),
    }
}

fn call(name: &str) -> ToolCall {
    ToolCall::new("call00000", name, Map::new())
}

fn tool_call(name: &str) -> GenerationEvent {
    GenerationEvent::ToolCall {
        call: call(name),
        text: String::new(),
        tokens: vec![1, 2],
        logprobs: Vec::new(),
    }
}

fn invalid(problem: ToolCallProblem) -> GenerationEvent {
    GenerationEvent::InvalidToolCall {
        invalid: InvalidToolCall::new("{", problem),
        tokens: vec![3],
        logprobs: Vec::new(),
    }
}

/// The names and arguments of the calls that are being written.
fn previews(answer: &PartialCompletion) -> Vec<(usize, &str, &str)> {
    answer
        .tool_call_previews()
        .iter()
        .map(|call| (call.index, call.name.as_str(), call.arguments.as_str()))
        .collect()
}

#[test]
fn a_call_is_shown_until_it_has_come() {
    let mut answer = PartialCompletion::default();
    answer.add(begin(0, "time"));
    answer.add(arguments(0, "{\"zo"));
    answer.add(arguments(0, "ne\": 1}"));
    answer.add(begin(1, "date"));
    answer.add(arguments(1, "{"));
    assert_eq!(
        previews(&answer),
        [(0, "time", "{\"zone\": 1}"), (1, "date", "{")]
    );
    assert!(answer.is_empty(), "a preview is no part of the answer");
    answer.add(tool_call("time"));
    assert_eq!(previews(&answer), [(1, "date", "{")]);
    answer.add(invalid(ToolCallProblem::UnknownTool { call: call("date") }));
    assert_eq!(previews(&answer), []);
    answer.add(begin(2, "time"));
    assert_eq!(previews(&answer), [(2, "time", "")]);
}

#[test]
fn a_malformed_call_ends_all_that_are_shown() {
    let mut answer = PartialCompletion::default();
    answer.add(begin(0, "time"));
    answer.add(begin(1, "date"));
    answer.add(invalid(ToolCallProblem::Malformed {
        reason: "it is empty".into(),
    }));
    assert_eq!(previews(&answer), []);
    answer.add(begin(1, "time"));
    assert_eq!(previews(&answer), [(1, "time", "")]);
}

#[test]
fn what_has_come_can_be_read_and_counted() {
    let mut answer = PartialCompletion::default();
    answer.add(GenerationEvent::Prefill {
        processed: 2,
        total: 9,
    });
    answer.add(GenerationEvent::Reasoning {
        text: "Hm.".into(),
        tokens: vec![7, 8],
        logprobs: Vec::new(),
    });
    answer.add(GenerationEvent::Delta {
        text: "Yes".into(),
        tokens: vec![9],
        logprobs: Vec::new(),
    });
    answer.add(tool_call("time"));
    assert_eq!((answer.text(), answer.reasoning()), ("Yes", "Hm."));
    assert_eq!(answer.tool_calls(), [call("time")]);
    assert_eq!(answer.tokens(), [7, 8, 9, 1, 2]);
    let usage = Usage {
        prompt_tokens: 9,
        cached_prompt_tokens: 0,
        generated_tokens: 5,
        reasoning_tokens: 2,
    };
    assert_eq!(answer.usage(), usage);
    let summary = GenerationSummary {
        finish: FinishReason::MaxTokens,
        usage: Usage {
            cached_prompt_tokens: 3,
            ..usage
        },
        timings: Timings {
            queue: Duration::ZERO,
            prefill: Duration::ZERO,
            decode: Duration::ZERO,
        },
        seed: None,
        ignored: Vec::new(),
    };
    let completion = answer
        .add(GenerationEvent::Done(summary.clone()))
        .expect("the last event gives the answer");
    assert_eq!(completion.summary, summary);
    assert_eq!(completion.tokens, [7, 8, 9, 1, 2]);
    assert_eq!(answer, PartialCompletion::default());
}
