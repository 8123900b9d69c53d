//! The choice among backends whose availability the test decides.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use engine_core::{
    Availability, Backend, BackendInfo, BoxFuture, DeviceChoice, Engine, Error, LoadRequest,
    Progress, Result, Suitability,
};

use super::{BackendPolicy, choose};

#[derive(Debug)]
struct Fake {
    name: &'static str,
    refuses: Option<&'static str>,
    simulated: bool,
    suitability: Suitability,
}

impl Backend for Fake {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: self.name.to_owned(),
            version: "0".to_owned(),
            simulated: self.simulated,
        }
    }

    fn availability(&self) -> Availability {
        match self.refuses {
            None => Availability::Ready {
                device: "test".to_owned(),
            },
            Some(reason) => Availability::Unavailable {
                reason: reason.to_owned(),
            },
        }
    }

    fn suitability(&self) -> Suitability {
        self.suitability
    }

    fn load(&self, _: LoadRequest, _: Progress) -> BoxFuture<Result<Arc<dyn Engine>>> {
        Box::pin(async {
            Err(Error::ModelNotFound {
                path: "nowhere".into(),
            })
        })
    }
}

fn real(name: &'static str, refuses: Option<&'static str>) -> Arc<dyn Backend> {
    suiting(name, refuses, Suitability::Native)
}

fn suiting(
    name: &'static str,
    refuses: Option<&'static str>,
    suitability: Suitability,
) -> Arc<dyn Backend> {
    Arc::new(Fake {
        name,
        refuses,
        simulated: false,
        suitability,
    })
}

fn mock() -> Arc<dyn Backend> {
    Arc::new(Fake {
        name: "mock",
        refuses: None,
        simulated: true,
        suitability: Suitability::Native,
    })
}

fn chosen(policy: &BackendPolicy, backends: Vec<Arc<dyn Backend>>) -> Result<String> {
    choose(policy, backends, DeviceChoice::Auto).map(|backend| backend.info().name)
}

#[test]
fn auto_takes_the_first_real_backend_that_can_run() {
    let backends = vec![
        mock(),
        real("gpu", Some("no device")),
        real("cpu", None),
        real("other", None),
    ];
    assert_eq!(chosen(&BackendPolicy::Auto, backends).unwrap(), "cpu");
}

#[test]
fn auto_takes_a_gpu_first_and_the_processors_own_backend_before_a_fallback() {
    use DeviceChoice::{Auto, Cpu, Cuda, Metal};
    let mlx_on = |suitability| vec![suiting("mlx", None, suitability), real("cpu", None), mock()];
    for (suitability, device, expected) in [
        (Suitability::Accelerated, Auto, "mlx"),
        (Suitability::Accelerated, Metal, "mlx"),
        (Suitability::Accelerated, Cpu, "cpu"),
        (Suitability::Fallback, Auto, "cpu"),
        (Suitability::Fallback, Cpu, "cpu"),
        (Suitability::Fallback, Cuda, "mlx"),
    ] {
        let backend = choose(&BackendPolicy::Auto, mlx_on(suitability), device).unwrap();
        assert_eq!(backend.info().name, expected, "{suitability:?}, {device:?}");
    }
}

#[test]
fn a_gpu_that_does_not_answer_leaves_the_processor() {
    let mlx = || suiting("mlx", Some("not linked"), Suitability::Fallback);
    for policy in [BackendPolicy::Auto, BackendPolicy::AllowSimulation] {
        let backends = vec![mlx(), real("cpu", None), mock()];
        assert_eq!(chosen(&policy, backends).unwrap(), "cpu");
    }
}

#[test]
fn auto_never_takes_the_mock_and_says_why_each_backend_refused() {
    let backends = vec![
        real("gpu", Some("no device answers")),
        real("cpu", Some("no AVX")),
        mock(),
    ];
    let error = chosen(&BackendPolicy::Auto, backends).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }));
    assert_eq!(
        error.to_string(),
        "the gpu or cpu backend is not available: gpu: no device answers; cpu: no AVX"
    );
}

#[test]
fn one_refusal_is_passed_on_as_it_is() {
    let error = chosen(
        &BackendPolicy::Auto,
        vec![real("mlx", Some("not linked")), mock()],
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "the mlx backend is not available: not linked"
    );
}

#[test]
fn a_build_without_real_backends_says_what_it_leaves_out() {
    let error = chosen(&BackendPolicy::Auto, vec![mock()]).unwrap_err();
    assert!(
        error.to_string().contains("enable the feature `cpu`"),
        "{error}"
    );
}

#[test]
fn a_required_backend_is_taken_even_if_a_better_one_is_ready() {
    let backends = || vec![real("mlx", None), real("cpu", None), mock()];
    for name in ["cpu", "mock"] {
        let policy = BackendPolicy::require(name);
        assert_eq!(chosen(&policy, backends()).unwrap(), name);
    }
}

#[test]
fn a_required_backend_that_cannot_run_is_an_error_though_others_could() {
    let policy = BackendPolicy::require("mlx");
    let error = chosen(
        &policy,
        vec![real("mlx", Some("not linked")), real("cpu", None)],
    );
    assert!(matches!(error, Err(Error::Unavailable { backend, .. }) if backend == "mlx"));
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let policy = BackendPolicy::require("cuda");
    let error = chosen(&policy, vec![real("mlx", None), mock()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cuda backend is not available: no backend has this name; there are mlx, mock"
    );
}

#[test]
fn a_simulation_is_allowed_as_the_last_resort_and_the_log_says_why() {
    let (name, log) = logged(|| {
        let backends = vec![mock(), real("mlx", Some("not linked"))];
        chosen(&BackendPolicy::AllowSimulation, backends).unwrap()
    });
    assert_eq!(name, "mock");
    assert!(log.contains("mlx: not linked"), "{log}");
}

#[test]
fn a_simulation_is_not_taken_where_a_real_backend_can_run() {
    let (name, log) = logged(|| {
        let backends = vec![mock(), real("mlx", None)];
        chosen(&BackendPolicy::AllowSimulation, backends).unwrap()
    });
    assert_eq!((name.as_str(), log.as_str()), ("mlx", ""));
}

/// What `act` gives, and what it wrote to the log.
fn logged<T>(act: impl FnOnce() -> T) -> (T, String) {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let value = tracing::subscriber::with_default(subscriber, act);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    (value, text)
}
