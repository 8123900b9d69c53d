//! Every fault is an error that says so, and never an answer.

use std::{thread, time::Duration};

use engine_core::{
    Engine, EngineExt, Error, GenerateParams, GenerateRequest, GenerationEvent, GenerationStream,
};
use engine_mock::{Fault, Gate, MockBackend, MockBuilder, Script};
use futures_executor::block_on;
use futures_util::StreamExt;

use crate::support::{ask, ask_with, load};

const PATIENCE: Duration = Duration::from_secs(30);
const REPLY: &str = " the river and the sea and the wind";

fn mock() -> MockBuilder {
    MockBackend::builder().scripted(Script::new().reply(REPLY))
}

fn broken() -> Error {
    Error::backend("mock", "evaluate a step", "the device is on fire")
}

/// The text up to the error, and the error.
fn failing(mut events: GenerationStream) -> (String, Error) {
    block_on(async move {
        let mut text = String::new();
        loop {
            match events.next().await {
                Some(Ok(GenerationEvent::Delta { text: piece, .. })) => text.push_str(&piece),
                Some(Ok(GenerationEvent::Prefill { .. })) => {}
                Some(Err(error)) => {
                    assert!(events.next().await.is_none());
                    return (text, error);
                }
                other => panic!("an answer was made up: {text:?}, then {other:?}"),
            }
        }
    })
}

fn start(engine: &std::sync::Arc<dyn Engine>) -> GenerationStream {
    let request = GenerateRequest::text("Begin").with_params(GenerateParams::greedy());
    engine.stream(request).expect("a loaded engine")
}

/// Both ways to choose a token.
fn host_and_device() -> [MockBuilder; 2] {
    [mock(), mock().device_choice(true)]
}

#[test]
fn a_prompt_that_fails_gives_its_error_and_the_next_one_an_answer() {
    for mock in host_and_device() {
        let engine = load(mock.fault(Fault::step(0, broken)));
        let (text, error) = failing(start(&engine));
        assert_eq!(text, "");
        assert!(matches!(error, Error::Backend { .. }), "{error}");
        assert_eq!(ask(&engine, "Begin").unwrap().text, REPLY);
    }
}

#[test]
fn a_step_that_fails_ends_the_answer_where_it_stands() {
    for mock in host_and_device() {
        let engine = load(mock.fault(Fault::step(3, broken)));
        let (text, _) = failing(start(&engine));
        assert!(!text.is_empty() && REPLY.starts_with(&text), "{text:?}");
        assert!(text.len() < REPLY.len());
        assert_eq!(ask(&engine, "Begin").unwrap().text, REPLY);
    }
}

#[test]
fn a_repeating_fault_fails_every_request() {
    for mock in host_and_device() {
        let engine = load(mock.fault(Fault::step(0, broken).repeating()));
        for _ in 0..3 {
            let (text, _) = failing(start(&engine));
            assert_eq!(text, "");
        }
    }
}

#[test]
fn any_error_can_be_asked_for() {
    let out_of_memory = || Error::OutOfMemory {
        purpose: "the KV cache".to_owned(),
        reason: "simulated".to_owned(),
    };
    let engine = load(mock().fault(Fault::step(1, out_of_memory)));
    let (_, error) = failing(start(&engine));
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
}

#[test]
fn logits_that_are_not_numbers_are_an_error() {
    for mock in host_and_device() {
        for step in [0, 2] {
            let engine = load(mock.clone().fault(Fault::nan(step)));
            let (text, error) = failing(start(&engine));
            assert!(REPLY.starts_with(&text), "{text:?}");
            assert!(matches!(error, Error::Backend { .. }), "{error}");
            assert_eq!(ask(&engine, "Begin").unwrap().text, REPLY);
        }
    }
}

#[test]
fn logits_that_are_not_numbers_are_an_error_when_drawing() {
    let engine = load(MockBackend::builder().fault(Fault::nan(1).repeating()));
    let params = GenerateParams::default().with_seed(1);
    assert!(ask_with(&engine, "Begin", params).is_err());
}

#[test]
fn a_step_that_panics_is_an_error_and_the_end_of_the_engine() {
    for mock in host_and_device() {
        let engine = load(mock.fault(Fault::panic(1)));
        let (_, error) = failing(start(&engine));
        assert!(matches!(error, Error::Backend { .. }), "{error}");
        let after = ask(&engine, "Begin").unwrap_err();
        assert!(
            matches!(after, Error::Unloaded { .. } | Error::Backend { .. }),
            "{after}"
        );
        block_on(engine.unload()).unwrap();
    }
}

#[test]
fn a_stalled_step_waits_for_its_gate() {
    let gate = Gate::new();
    let engine = load(mock().fault(Fault::stall(1, &gate)));
    let events = start(&engine);
    assert!(gate.wait_until_reached(PATIENCE));
    gate.release();
    let text = block_on(events.fold(String::new(), |mut text, event| async move {
        if let GenerationEvent::Delta { text: piece, .. } = event.unwrap() {
            text.push_str(&piece);
        }
        text
    }));
    assert_eq!(text, REPLY);
}

#[test]
fn a_stalled_step_goes_on_when_its_gate_is_dropped() {
    let gate = Gate::new();
    let engine = load(mock().fault(Fault::stall(0, &gate)));
    let events = start(&engine);
    assert!(gate.wait_until_reached(PATIENCE));
    drop(gate);
    assert!(
        block_on(events.collect::<Vec<_>>())
            .iter()
            .all(Result::is_ok)
    );
}

#[test]
fn a_generation_dropped_while_it_stalls_is_freed_at_the_next_step() {
    let gate = Gate::new();
    let engine = load(mock().fault(Fault::stall(1, &gate)));
    let events = start(&engine);
    assert!(gate.wait_until_reached(PATIENCE));
    drop(events);
    gate.release();
    assert_eq!(ask(&engine, "Begin").unwrap().text, REPLY);
    assert_eq!(block_on(engine.memory()).unwrap().sequences, 0);
}

#[test]
fn an_engine_unloaded_while_it_stalls_ends_its_generation_with_unloaded() {
    let gate = Gate::new();
    let engine = load(mock().fault(Fault::stall(2, &gate)));
    let events = start(&engine);
    assert!(gate.wait_until_reached(PATIENCE));
    let unloading = engine.unload();
    gate.release();
    block_on(unloading).unwrap();
    let (text, error) = failing(events);
    assert!(REPLY.starts_with(&text));
    assert!(matches!(error, Error::Unloaded { .. }), "{error}");
}

#[test]
fn a_gate_that_nothing_reaches_says_so() {
    let gate = Gate::new();
    assert!(!gate.wait_until_reached(Duration::ZERO));
}

#[test]
fn a_gate_that_is_open_lets_everything_pass() {
    let gate = Gate::new();
    gate.release();
    let engine = load(mock().fault(Fault::stall(0, &gate).repeating()));
    let answer = thread::spawn(move || ask(&engine, "Begin")).join().unwrap();
    assert_eq!(answer.unwrap().text, REPLY);
}

#[test]
fn a_fault_says_what_it_is() {
    let text = format!("{:?}", Fault::step(4, broken).repeating());
    for part in ["Step", "first: 4", "repeats: true", "mock backend failed"] {
        assert!(text.contains(part), "{text}");
    }
}
