//! Load options, requests, and the progress protocol.

use std::sync::{Arc, Mutex};

use engine_core::{
    ComputeType, DeviceChoice, Error, Field, FieldSet, KvType, LoadOptions, LoadProgress,
    LoadRequest, LoadStage, Progress,
};

#[test]
fn an_option_that_the_backend_lacks_is_refused() {
    let options = LoadOptions {
        device: DeviceChoice::Metal,
        ..LoadOptions::default()
    };
    match options.validate("x", FieldSet::NONE) {
        Err(Error::Unsupported { field, .. }) => assert_eq!(field, Field::Device),
        other => panic!("{other:?}"),
    }
    options
        .validate("x", FieldSet::NONE.with(Field::Device))
        .unwrap();
}

#[test]
fn every_option_counts_as_set() {
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        compute: ComputeType::F32,
        context_length: Some(1),
        prefill_chunk: Some(1),
        max_concurrent: Some(1),
        cache_limit_bytes: Some(0),
        threads: Some(1),
        kv_type: KvType::F16,
        prompt_cache_bytes: Some(0),
    };
    assert_eq!(options.fields_set().iter().count(), 9);
    assert_eq!(LoadOptions::default().fields_set(), FieldSet::NONE);
}

#[test]
fn zero_is_out_of_range() {
    let zeros = [
        LoadOptions {
            context_length: Some(0),
            ..LoadOptions::default()
        },
        LoadOptions {
            prefill_chunk: Some(0),
            ..LoadOptions::default()
        },
        LoadOptions {
            max_concurrent: Some(0),
            ..LoadOptions::default()
        },
        LoadOptions {
            threads: Some(0),
            ..LoadOptions::default()
        },
    ];
    let all = Field::ALL.iter().copied().collect();
    for options in zeros {
        assert!(
            matches!(
                options.validate("x", all),
                Err(Error::InvalidParameter { .. })
            ),
            "{options:?}"
        );
    }
}

#[test]
fn a_model_is_named_after_its_folder() {
    assert_eq!(LoadRequest::new("models/Tiny-1B").name, "Tiny-1B");
    assert_eq!(LoadRequest::new("models/Tiny-1B/").name, "Tiny-1B");
}

#[test]
fn cancelling_reaches_every_clone_and_stops_the_events() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = Progress::new({
        let seen = Arc::clone(&seen);
        move |event: LoadProgress| seen.lock().unwrap().push(event.stage)
    });
    let event = LoadProgress {
        stage: LoadStage::Weights,
        done_bytes: 1,
        total_bytes: 4,
    };
    progress.report(event).unwrap();
    progress.clone().cancel();
    assert!(matches!(
        progress.report(event),
        Err(Error::Cancelled { .. })
    ));
    assert_eq!(*seen.lock().unwrap(), [LoadStage::Weights]);
}

#[test]
fn the_fraction_is_of_bytes_and_one_when_ready() {
    let at = |stage, done_bytes, total_bytes| {
        LoadProgress {
            stage,
            done_bytes,
            total_bytes,
        }
        .fraction()
    };
    assert_eq!(at(LoadStage::Reading, 0, 0), 0.0);
    assert_eq!(at(LoadStage::Weights, 1, 4), 0.25);
    assert_eq!(at(LoadStage::Ready, 0, 0), 1.0);
}
