//! JSON forms of events, and the rates in a summary.

use std::time::Duration;

use engine_core::{
    Field, FinishReason, GenerationEvent, GenerationSummary, InvalidToolCall, Timings,
    TokenLogprob, TokenLogprobs, ToolCall, ToolCallProblem, Usage,
};
use serde_json::Map;

fn summary() -> GenerationSummary {
    GenerationSummary {
        finish: FinishReason::StopString("\n".into()),
        usage: Usage {
            prompt_tokens: 10,
            cached_prompt_tokens: 4,
            generated_tokens: 5,
            reasoning_tokens: 2,
        },
        timings: Timings {
            queue: Duration::ZERO,
            prefill: Duration::from_millis(500),
            decode: Duration::from_secs(2),
        },
        seed: Some(7),
        ignored: vec![Field::TopK],
    }
}

fn malformed() -> ToolCallProblem {
    ToolCallProblem::Malformed {
        reason: "the answer ended inside it".into(),
    }
}

#[test]
fn events_survive_json() {
    let call = ToolCall::new("call00000", "time", Map::new());
    let events = [
        GenerationEvent::Prefill {
            processed: 1,
            total: 2,
        },
        GenerationEvent::Delta {
            text: "é".into(),
            tokens: vec![1, 2],
            logprobs: Vec::new(),
        },
        GenerationEvent::Delta {
            text: "a".into(),
            tokens: vec![3],
            logprobs: vec![TokenLogprobs {
                chosen: TokenLogprob {
                    token: 3,
                    logprob: -0.5,
                },
                top: vec![TokenLogprob {
                    token: 7,
                    logprob: -0.25,
                }],
            }],
        },
        GenerationEvent::Reasoning {
            text: "hm".into(),
            tokens: vec![3],
            logprobs: Vec::new(),
        },
        GenerationEvent::ToolCallDelta {
            index: 0,
            name: Some("time".into()),
            arguments: String::new(),
        },
        GenerationEvent::ToolCallDelta {
            index: 0,
            name: None,
            arguments: "{\"a\"".into(),
        },
        GenerationEvent::ToolCall {
            call: call.clone(),
            text: "<tool_call>".into(),
            tokens: vec![4, 5],
            logprobs: Vec::new(),
        },
        GenerationEvent::InvalidToolCall {
            invalid: InvalidToolCall::new("<tool_call>{", malformed()),
            tokens: vec![],
            logprobs: Vec::new(),
        },
        GenerationEvent::InvalidToolCall {
            invalid: InvalidToolCall::new("x", ToolCallProblem::UnknownTool { call }),
            tokens: vec![6],
            logprobs: Vec::new(),
        },
        GenerationEvent::Done(summary()),
    ];
    for event in events {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            serde_json::from_str::<GenerationEvent>(&json).unwrap(),
            event
        );
    }
}

#[test]
fn a_summary_reads_well_as_json() {
    assert_eq!(
        serde_json::to_value(summary()).unwrap(),
        serde_json::json!({
            "finish": {"reason": "stop_string", "match": "\n"},
            "usage": {
                "prompt_tokens": 10,
                "cached_prompt_tokens": 4,
                "generated_tokens": 5,
                "reasoning_tokens": 2,
            },
            "timings": {"queue_s": 0.0, "prefill_s": 0.5, "decode_s": 2.0},
            "seed": 7,
            "ignored": ["top_k"],
        })
    );
}

#[test]
fn rates_leave_out_the_token_that_prefill_paid_for() {
    let GenerationSummary { usage, timings, .. } = summary();
    assert_eq!(timings.prefill_tokens_per_second(&usage), Some(12.0));
    assert_eq!(timings.decode_tokens_per_second(&usage), Some(2.0));
}

#[test]
fn nothing_measured_gives_no_rate() {
    let (usage, timings) = (Usage::default(), Timings::default());
    assert_eq!(timings.prefill_tokens_per_second(&usage), None);
    assert_eq!(timings.decode_tokens_per_second(&usage), None);
}
