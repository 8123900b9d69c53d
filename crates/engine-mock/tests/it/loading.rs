//! Pretended loading: its progress, its failures, its cancellation.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use engine_core::{Backend, Error, LoadProgress, LoadRequest, LoadStage, Progress, Result};
use engine_mock::{Fault, Gate, MockBackend};
use futures_executor::block_on;

use crate::support::{ask, backend, load_from};

/// What a load reported, and how it ended.
fn observed(backend: &MockBackend) -> (Vec<LoadProgress>, Result<()>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let progress = Progress::new(move |event| seen.lock().expect("no panic").push(event));
    let result = block_on(backend.load(LoadRequest::new("models/mock"), progress));
    let events = events.lock().expect("no panic").clone();
    (events, result.map(drop))
}

#[test]
fn a_load_reports_its_stages_and_bytes() {
    let mock = MockBackend::builder()
        .weight_bytes(1000)
        .load_steps(NonZeroU32::new(4).unwrap());
    let (events, result) = observed(&backend(mock));
    result.unwrap();
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.stage, event.done_bytes, event.total_bytes))
        .collect();
    assert_eq!(
        seen,
        [
            (LoadStage::Reading, 0, 1000),
            (LoadStage::Tokenizer, 0, 1000),
            (LoadStage::Weights, 250, 1000),
            (LoadStage::Weights, 500, 1000),
            (LoadStage::Weights, 750, 1000),
            (LoadStage::Weights, 1000, 1000),
            (LoadStage::Ready, 1000, 1000),
        ]
    );
}

#[test]
fn any_number_of_bytes_can_be_pretended() {
    for bytes in [0, 1, u64::MAX] {
        let (events, result) = observed(&backend(MockBackend::builder().weight_bytes(bytes)));
        result.unwrap();
        assert_eq!(events.last().map(|event| event.done_bytes), Some(bytes));
    }
}

#[test]
fn a_load_that_fails_is_never_ready_and_the_next_one_works() {
    let unreadable = || Error::InvalidModel {
        path: "models/mock/config.json".into(),
        reason: "simulated".to_owned(),
    };
    let backend = backend(MockBackend::builder().fault(Fault::load(0, unreadable)));
    let (events, result) = observed(&backend);
    assert!(matches!(result, Err(Error::InvalidModel { .. })));
    assert!(events.iter().all(|event| event.stage < LoadStage::Ready));
    assert!(ask(&load_from(&backend).unwrap(), "Begin").is_ok());
}

#[test]
fn a_load_can_run_out_of_memory() {
    let backend = backend(MockBackend::builder().fault(Fault::load_out_of_memory(1)));
    observed(&backend).1.unwrap();
    let error = observed(&backend).1.unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert!(error.is_retryable());
    observed(&backend).1.unwrap();
}

#[test]
fn every_load_can_fail() {
    let backend = backend(MockBackend::builder().fault(Fault::load_out_of_memory(0).repeating()));
    for _ in 0..3 {
        assert!(load_from(&backend).is_err());
    }
}

#[test]
fn a_load_that_panics_is_an_error_and_the_next_one_works() {
    let backend = backend(MockBackend::builder().fault(Fault::load_panic(0)));
    let (events, result) = observed(&backend);
    assert!(matches!(result, Err(Error::Backend { .. })));
    assert!(events.iter().all(|event| event.stage < LoadStage::Ready));
    assert!(load_from(&backend).is_ok());
}

#[test]
fn a_load_dropped_at_its_gate_is_cancelled() {
    let gate = Gate::new();
    let backend = backend(MockBackend::builder().fault(Fault::stall_load(0, &gate)));
    let last = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&last);
    let progress = Progress::new(move |event| *seen.lock().expect("no panic") = Some(event));
    let loading = backend.load(LoadRequest::new("models/mock"), progress);
    assert!(gate.wait_until_reached(Duration::from_secs(30)));
    let halfway = last.lock().unwrap().unwrap();
    assert_eq!(halfway.stage, LoadStage::Weights);
    assert!(halfway.done_bytes < halfway.total_bytes);
    drop(loading);
    gate.release();
    // The next load goes through, and nothing of the dropped one is heard again.
    assert!(load_from(&backend).is_ok());
    assert_eq!(*last.lock().unwrap(), Some(halfway));
}

#[test]
fn clones_count_their_loads_together() {
    let first = backend(MockBackend::builder().fault(Fault::load_out_of_memory(1)));
    let second = first.clone();
    assert!(load_from(&first).is_ok());
    assert!(load_from(&second).is_err());
}

#[test]
fn a_load_takes_at_least_its_delay() {
    let delay = Duration::from_millis(20);
    let engine = load_from(&backend(MockBackend::builder().load_delay(delay))).unwrap();
    assert!(engine.info().load_time >= delay);
}
