//! Loading: what is asked, in which order, and what happens when it fails.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use engine_core::{LoadRequest, Progress};
use futures_executor::block_on;
use futures_util::{FutureExt, StreamExt, future::join};
use mlxengine::{
    Availability, Backend, BackendInfo, BackendPolicy, BoxFuture, Engine, Error, Field,
    GenerateParams, InferenceEngine, LoadOptions, LoadProgress, LoadStage, Result, backends,
    mock::{Fault, Gate, MockBackend},
};

use crate::mock::{configuration, saying};

/// A backend that fails every load, or can't run at all.
#[derive(Debug, Default)]
struct Failing {
    unavailable: bool,
    loads: AtomicUsize,
    /// Kept after the load, as a careless backend might.
    progress: Mutex<Option<Progress>>,
}

impl Backend for Failing {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: "failing".to_owned(),
            version: "0".to_owned(),
            simulated: false,
        }
    }

    fn availability(&self) -> Availability {
        if self.unavailable {
            Availability::Unavailable {
                reason: "it is Sunday".to_owned(),
            }
        } else {
            Availability::Ready {
                device: "none".to_owned(),
            }
        }
    }

    fn load(&self, request: LoadRequest, progress: Progress) -> BoxFuture<Result<Arc<dyn Engine>>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        *self.progress.lock().unwrap() = Some(progress);
        Box::pin(async { Err(Error::ModelNotFound { path: request.path }) })
    }
}

#[test]
fn a_failed_load_is_the_backends_own_error() {
    let backend = Arc::new(Failing::default());
    let load = InferenceEngine::load(configuration()).with_backend(backend.clone());
    let error = block_on(load.into_future()).unwrap_err();
    assert!(matches!(error, Error::ModelNotFound { path } if path.ends_with("tiny")));
    assert_eq!(backend.loads.load(Ordering::Relaxed), 1);
}

#[test]
fn a_backend_that_cannot_run_is_not_asked_to_load() {
    let backend = Arc::new(Failing {
        unavailable: true,
        ..Failing::default()
    });
    let load = InferenceEngine::load(configuration()).with_backend(backend.clone());
    let error = block_on(load.into_future()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the failing backend is not available: it is Sunday"
    );
    assert_eq!(backend.loads.load(Ordering::Relaxed), 0);
}

#[test]
fn a_configuration_out_of_range_reaches_no_backend() {
    let backend = Arc::new(Failing::default());
    let configuration =
        configuration().with_generate(GenerateParams::greedy().with_temperature(11.0));
    let load = InferenceEngine::load(configuration).with_backend(backend.clone());
    let error = block_on(load.into_future()).unwrap_err();
    assert!(matches!(
        error,
        Error::InvalidParameter {
            field: Field::Temperature,
            ..
        }
    ));
    assert_eq!(backend.loads.load(Ordering::Relaxed), 0);
}

#[test]
fn load_options_reach_the_backend() {
    let load = |options| {
        let load = InferenceEngine::load(configuration().with_load(options));
        block_on(load.with_backend(saying("x")).into_future())
    };
    let mut options = LoadOptions {
        context_length: Some(100),
        ..LoadOptions::default()
    };
    assert_eq!(
        load(options.clone()).unwrap().info().model.context_length,
        100
    );
    options.cache_limit_bytes = Some(1);
    let error = load(options).unwrap_err();
    assert!(matches!(
        error,
        Error::Unsupported {
            field: Field::CacheLimitBytes,
            ..
        }
    ));
}

#[test]
fn the_mock_is_there_for_those_who_name_it() {
    let load = InferenceEngine::load(configuration()).backend(BackendPolicy::require("mock"));
    assert!(block_on(load.into_future()).unwrap().is_simulated());
}

#[test]
fn the_last_choice_of_a_backend_counts() {
    let load = InferenceEngine::load(configuration())
        .with_backend(Arc::new(Failing::default()))
        .backend(BackendPolicy::require("mock"));
    assert_eq!(block_on(load.into_future()).unwrap().backend().name, "mock");
}

#[test]
fn the_automatic_choice_is_never_the_mock() {
    let loaded = block_on(InferenceEngine::load(configuration()).into_future());
    // There is no such model: MLX says so where it is, and where it is not that is the error.
    let error = loaded.unwrap_err();
    assert!(
        matches!(
            error,
            Error::ModelNotFound { .. } | Error::Unavailable { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn allowing_a_simulation_hides_no_failure_of_a_real_backend() {
    let mlx_is_ready = backends().iter().any(|backend| {
        !backend.info().simulated && matches!(backend.availability(), Availability::Ready { .. })
    });
    let load = InferenceEngine::load(configuration()).backend(BackendPolicy::AllowSimulation);
    match block_on(load.into_future()) {
        Ok(engine) => assert!(engine.is_simulated() && !mlx_is_ready),
        Err(error) => {
            assert!(mlx_is_ready);
            assert!(matches!(error, Error::ModelNotFound { .. }), "{error:?}");
        }
    }
}

#[test]
fn callback_and_stream_hear_the_same_steps() {
    let heard = Arc::new(Mutex::new(Vec::<LoadProgress>::new()));
    let steps = heard.clone();
    let (load, progress) = InferenceEngine::load(configuration())
        .with_backend(saying("x"))
        .progress(move |step| steps.lock().unwrap().push(step))
        .progress_stream();
    let (engine, streamed) = block_on(join(
        load.into_future(),
        progress.collect::<Vec<LoadProgress>>(),
    ));
    engine.unwrap();
    assert_eq!(streamed, *heard.lock().unwrap());
    assert_eq!(
        streamed.last().map(|step| step.stage),
        Some(LoadStage::Ready)
    );
    assert!(streamed.is_sorted_by_key(|step| (step.stage, step.done_bytes)));
}

#[test]
fn the_progress_stream_ends_with_a_load_that_fails() {
    // The backend keeps its progress, and with it the sender.
    let backend = Arc::new(Failing::default());
    let (load, progress) = InferenceEngine::load(configuration())
        .with_backend(backend.clone())
        .progress_stream();
    let (engine, steps) = block_on(join(load.into_future(), progress.collect::<Vec<_>>()));
    assert!(engine.is_err());
    assert!(backend.progress.lock().unwrap().is_some());
    assert_eq!(steps, []);
}

#[test]
fn the_progress_stream_ends_with_a_load_that_is_dropped() {
    let gate = Gate::new();
    let backend = MockBackend::builder()
        .fault(Fault::stall_load(0, &gate))
        .build()
        .unwrap();
    let (load, progress) = InferenceEngine::load(configuration())
        .with_backend(Arc::new(backend))
        .progress_stream();
    let mut load = load.into_future();
    assert!((&mut load).now_or_never().is_none());
    drop(load);
    // It ends while the backend still stands at its gate.
    block_on(progress.collect::<Vec<_>>());
}

#[test]
fn nothing_is_loaded_before_it_is_awaited() {
    let backend = Arc::new(Failing::default());
    let load = InferenceEngine::load(configuration()).with_backend(backend.clone());
    drop(load.into_future());
    assert_eq!(backend.loads.load(Ordering::Relaxed), 0);
}

#[test]
fn the_built_in_backends_are_those_of_the_features() {
    let names: Vec<String> = backends()
        .iter()
        .map(|backend| backend.info().name)
        .collect();
    let features = [
        ("mlx", cfg!(feature = "mlx")),
        ("cpu", cfg!(feature = "cpu")),
        ("mock", cfg!(feature = "mock")),
    ];
    let expected: Vec<&str> = features
        .into_iter()
        .filter_map(|(name, built)| built.then_some(name))
        .collect();
    assert_eq!(names, expected);
}
