//! What can be asked of a load, and how it tells of itself.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use engine_core::{
    Availability, Backend, DeviceChoice, Error, Field, LoadProgress, LoadStage, Model, Progress,
};
use engine_mlx::{MlxBackend, MlxModel};
use futures_executor::block_on;

use super::{
    mlx_process::beside_others,
    tiny::{Tiny, on_cpu, rows_of},
};

#[test]
fn the_backend_is_ready_and_names_a_device() {
    let _process = beside_others();
    match MlxBackend::new().availability() {
        Availability::Ready { device } => assert!(!device.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_smaller_context_is_kept_and_a_larger_one_refused() {
    let _process = beside_others();
    let folder = Tiny::llama().write();
    let mut request = on_cpu(folder.path());
    request.options.context_length = Some(8);
    let mut model = MlxModel::load(&request, &Progress::silent()).unwrap();
    assert_eq!(model.info().context_length, 8);
    assert_eq!(rows_of(&mut model, &[1; 8]).len(), 8);
    request.options.context_length = Some(513);
    let error = MlxModel::load(&request, &Progress::silent()).unwrap_err();
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
fn a_gpu_of_another_system_is_unavailable() {
    let _process = beside_others();
    let folder = Tiny::llama().write();
    let other = if cfg!(target_vendor = "apple") {
        DeviceChoice::Cuda
    } else {
        DeviceChoice::Metal
    };
    let mut request = on_cpu(folder.path());
    request.options.device = other;
    let error = MlxModel::load(&request, &Progress::silent()).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[test]
fn without_a_gpu_one_is_unavailable_and_auto_takes_the_processor() {
    let _process = beside_others();
    let Availability::Ready { device } = MlxBackend::new().availability() else {
        panic!("MLX is not available");
    };
    let folder = Tiny::llama().write();
    let mut request = on_cpu(folder.path());
    request.options.device = DeviceChoice::Auto;
    let model = MlxModel::load(&request, &Progress::silent()).unwrap();
    assert_eq!(model.info().device, device);
    if device != "CPU" {
        return;
    }
    request.options.device = if cfg!(target_vendor = "apple") {
        DeviceChoice::Metal
    } else {
        DeviceChoice::Cuda
    };
    let error = MlxModel::load(&request, &Progress::silent()).unwrap_err();
    let Error::Unavailable { reason, .. } = &error else {
        panic!("{error}");
    };
    assert!(reason.contains("GPU"), "{reason}");
}

#[test]
fn progress_counts_every_byte_of_the_weights() {
    let _process = beside_others();
    let tiny = Tiny::llama();
    let folder = tiny.write();
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let progress = Progress::new(move |event| seen.lock().unwrap().push(event));
    let engine = block_on(MlxBackend::new().load(on_cpu(folder.path()), progress)).unwrap();
    let events = events.lock().unwrap().clone();
    let bytes: usize = tiny.tensors.values().map(|tensor| tensor.bytes.len()).sum();
    let stages: Vec<_> = events.iter().map(|event| event.stage).collect();
    assert!(stages.is_sorted());
    let weights: Vec<_> = events
        .iter()
        .filter(|event| event.stage == LoadStage::Weights)
        .collect();
    assert_eq!(weights.len(), tiny.tensors.len() + 1);
    assert!(weights.is_sorted_by_key(|event| event.done_bytes));
    assert!(
        weights
            .iter()
            .all(|event| event.total_bytes == bytes as u64)
    );
    let ready = LoadProgress {
        stage: LoadStage::Ready,
        done_bytes: bytes as u64,
        total_bytes: bytes as u64,
    };
    assert_eq!(events.last(), Some(&ready));
    assert_eq!(engine.info().path.as_deref(), Some(folder.path()));
}

#[test]
fn a_load_can_be_cancelled_in_the_middle_of_the_weights() {
    let _process = beside_others();
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
    let error = MlxModel::load(&on_cpu(folder.path()), &progress).unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error}");
}

#[test]
fn dropping_a_load_leaves_nothing_behind() {
    let _process = beside_others();
    let folder = Tiny::llama().write();
    for _ in 0..5 {
        let mut load = MlxBackend::new().load(on_cpu(folder.path()), Progress::silent());
        let _ = load.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(load);
    }
    block_on(MlxBackend::new().load(on_cpu(folder.path()), Progress::silent())).unwrap();
}
