//! What can be asked of a load, and how it tells of itself.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use engine_core::{
    Availability, Backend, ComputeType, DeviceChoice, Error, Field, KvType, LoadStage, Model,
    Progress,
};
use engine_cpu::{CpuBackend, CpuModel};
use futures_executor::block_on;

use super::tiny::{Tiny, rows_of, with_threads};

#[test]
fn the_backend_is_always_ready() {
    match CpuBackend::new().availability() {
        Availability::Ready { device } => assert!(device.starts_with("CPU (")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_number_of_threads_is_that_asked_for_and_changes_no_number() {
    let folder = Tiny::llama().write();
    let rows = |threads| {
        let request = with_threads(folder.path(), threads);
        let mut model = CpuModel::load(&request, &Progress::silent()).unwrap();
        assert_eq!(model.threads(), threads as usize);
        rows_of(&mut model, &[5; 70])
    };
    let alone = rows(1);
    for threads in [2, 3, 5] {
        assert_eq!(rows(threads), alone, "{threads} threads");
    }
}

#[test]
fn no_thread_and_too_many_are_refused() {
    let folder = Tiny::llama().write();
    for threads in [0, 1025] {
        let request = with_threads(folder.path(), threads);
        let error = CpuModel::load(&request, &Progress::silent()).unwrap_err();
        let field = Field::Threads;
        assert!(
            matches!(&error, Error::InvalidParameter { field: f, .. } if *f == field),
            "{error}"
        );
    }
}

#[test]
fn an_eight_bit_cache_takes_about_half_the_memory_and_changes_logits_a_little() {
    let folder = Tiny::llama().write();
    let rows = |kv_type| {
        let mut request = with_threads(folder.path(), 2);
        request.options.kv_type = kv_type;
        let mut model = CpuModel::load(&request, &Progress::silent()).unwrap();
        let sequence = model.open().unwrap();
        let run = engine_core::Run {
            sequence,
            tokens: &[3; 10],
            logits: engine_core::LogitsWanted::None,
        };
        model
            .forward(&[run], &mut engine_core::Logits::new())
            .unwrap();
        let bytes = model.memory().kv_bytes;
        let tokens: Vec<u32> = (0..100).map(|i| i * 37 % 288).collect();
        (bytes, rows_of(&mut model, &tokens))
    };
    let (half_bytes, half) = rows(KvType::F16);
    let (eighth_bytes, eighth) = rows(KvType::Q8);
    assert!(
        eighth_bytes * 8 <= half_bytes * 5,
        "{eighth_bytes} {half_bytes}"
    );
    let (last, expected) = (&eighth[99], &half[99]);
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let apart = last
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, f32::max);
    assert!(
        apart > 0.0 && apart < 0.02 * largest,
        "{apart} of {largest}"
    );
}

#[test]
fn a_smaller_context_is_kept_and_a_larger_one_refused() {
    let folder = Tiny::llama().write();
    let mut request = with_threads(folder.path(), 1);
    request.options.context_length = Some(8);
    let mut model = CpuModel::load(&request, &Progress::silent()).unwrap();
    assert_eq!(model.info().context_length, 8);
    assert_eq!(rows_of(&mut model, &[1; 8]).len(), 8);
    request.options.context_length = Some(513);
    let error = CpuModel::load(&request, &Progress::silent()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidParameter {
                field: Field::ContextLength,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_gpu_and_another_number_type_are_refused() {
    let folder = Tiny::llama().write();
    for device in [DeviceChoice::Metal, DeviceChoice::Cuda] {
        let mut request = with_threads(folder.path(), 1);
        request.options.device = device;
        let error = CpuModel::load(&request, &Progress::silent()).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    let mut request = with_threads(folder.path(), 1);
    request.options.compute = ComputeType::Bf16;
    let error = CpuModel::load(&request, &Progress::silent()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unsupported {
                field: Field::Compute,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn progress_counts_every_byte_of_the_weights_in_order() {
    let tiny = Tiny::llama();
    let folder = tiny.write();
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let progress = Progress::new(move |event| seen.lock().unwrap().push(event));
    block_on(CpuBackend::new().load(with_threads(folder.path(), 3), progress)).unwrap();
    let events = events.lock().unwrap().clone();
    let bytes: usize = tiny.tensors.values().map(|tensor| tensor.bytes.len()).sum();
    let stages: Vec<_> = events.iter().map(|event| event.stage).collect();
    assert!(stages.is_sorted());
    let weights: Vec<_> = events
        .iter()
        .filter(|event| event.stage == LoadStage::Weights)
        .collect();
    assert!(weights.len() > tiny.tensors.len());
    assert!(weights.is_sorted_by_key(|event| event.done_bytes));
    assert_eq!(weights.last().unwrap().done_bytes, bytes as u64);
    assert_eq!(events.last().unwrap().stage, LoadStage::Ready);
    assert_eq!(events.last().unwrap().done_bytes, bytes as u64);
}

#[test]
fn a_load_can_be_cancelled_in_the_middle_of_the_weights() {
    let folder = Tiny::llama().write();
    let slot: Arc<Mutex<Option<Progress>>> = Arc::default();
    let own = Arc::clone(&slot);
    let progress = Progress::new(move |event| {
        if event.done_bytes > 0
            && let Some(progress) = own.lock().unwrap().as_ref()
        {
            progress.cancel();
        }
    });
    *slot.lock().unwrap() = Some(progress.clone());
    let error = CpuModel::load(&with_threads(folder.path(), 2), &progress).unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error}");
}

#[test]
fn dropping_a_load_leaves_nothing_behind() {
    let folder = Tiny::llama().write();
    let load = || CpuBackend::new().load(with_threads(folder.path(), 2), Progress::silent());
    for _ in 0..5 {
        let mut load = load();
        let _ = load.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(load);
    }
    block_on(load()).unwrap();
}
