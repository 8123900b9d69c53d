//! Backends that break the contract of loading.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use engine_conformance::EngineSuite;
use engine_core::{
    Availability, Backend, BackendInfo, BoxFuture, Engine, Error, LoadOptions, LoadProgress,
    LoadRequest, LoadStage, Progress, Result,
};
use engine_mock::MockBackend;

use crate::flawed_engine::{assert_failed, sound_mock};

/// A mock that loads in another way.
struct Loads {
    inner: MockBackend,
    info: BackendInfo,
    load: Box<Load>,
}

type Load = dyn Fn(&MockBackend, LoadRequest, Progress) -> Loading + Send + Sync;
type Loading = BoxFuture<Result<Arc<dyn Engine>>>;

impl std::fmt::Debug for Loads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loads").finish_non_exhaustive()
    }
}

impl Backend for Loads {
    fn info(&self) -> BackendInfo {
        self.info.clone()
    }

    fn availability(&self) -> Availability {
        self.inner.availability()
    }

    fn load(&self, request: LoadRequest, progress: Progress) -> BoxFuture<Result<Arc<dyn Engine>>> {
        (self.load)(&self.inner, request, progress)
    }
}

#[track_caller]
fn assert_fails(
    load: impl Fn(&MockBackend, LoadRequest, Progress) -> Loading + Send + Sync + 'static,
    expected: &[&str],
) {
    let inner = sound_mock().build().expect("sound settings");
    let info = inner.info();
    let load = Box::new(load);
    let backend = Arc::new(Loads { inner, info, load });
    let suite = EngineSuite::of_backend(backend, LoadRequest::new("models/mock"));
    assert_failed(&suite.run(), expected);
}

#[test]
fn load_options_that_are_ignored_fail() {
    assert_fails(
        |mock, mut request, progress| {
            request.options = LoadOptions::default();
            mock.load(request, progress)
        },
        &[
            "every_load_option_is_honoured_or_refused_by_name",
            "a_load_option_out_of_range_is_refused",
            "a_smaller_context_holds_prompt_and_answer",
            "one_generation_at_a_time_can_be_asked_for",
        ],
    );
}

#[test]
fn a_load_that_names_something_else_fails() {
    assert_fails(
        |mock, request, progress| {
            let other = LoadRequest::new("models/other").with_options(request.options);
            mock.load(other, progress)
        },
        &["loading_reports_what_was_asked_for"],
    );
}

#[test]
fn a_load_that_never_says_ready_fails() {
    assert_fails(
        |mock, request, progress| {
            mock.load(
                request,
                Progress::new(move |event| {
                    if event.stage != LoadStage::Ready {
                        let _ = progress.report(event);
                    }
                }),
            )
        },
        &[
            "loading_goes_through_its_stages_in_order",
            "a_cancelled_load_ends_and_another_one_works",
        ],
    );
}

#[test]
fn progress_that_goes_backwards_fails() {
    assert_fails(
        |mock, request, progress| {
            let _ = progress.report(LoadProgress {
                stage: LoadStage::Weights,
                done_bytes: 7,
                total_bytes: 7,
            });
            mock.load(request, progress)
        },
        &["loading_goes_through_its_stages_in_order"],
    );
}

#[test]
fn a_load_that_does_not_hear_its_cancellation_fails() {
    assert_fails(
        |mock, request, progress| {
            let load = mock.load(request, Progress::silent());
            Box::pin(async move {
                let _ = progress.report(LoadProgress {
                    stage: LoadStage::Reading,
                    done_bytes: 0,
                    total_bytes: 0,
                });
                let engine = load.await?;
                let _ = progress.ready();
                Ok(engine)
            })
        },
        &["a_cancelled_load_ends_and_another_one_works"],
    );
}

#[test]
fn a_refused_option_under_another_name_fails() {
    assert_fails(
        |mock, request, progress| {
            let load = mock.load(request, progress);
            Box::pin(async move {
                load.await.map_err(|error| match error {
                    Error::Unsupported { backend, .. } => Error::Unsupported {
                        backend,
                        field: engine_core::Field::Name,
                    },
                    other => other,
                })
            })
        },
        &["every_load_option_is_honoured_or_refused_by_name"],
    );
}

#[test]
fn a_backend_broken_by_a_dropped_load_fails() {
    let loading = Arc::new(AtomicBool::new(false));
    assert_fails(
        move |mock, request, progress| {
            let load = mock.load(request, progress);
            let loading = Arc::clone(&loading);
            Box::pin(async move {
                if loading.swap(true, Ordering::SeqCst) {
                    return Err(Error::backend("mock", "load", "another load has not ended"));
                }
                // A load that is dropped here never says that it has ended.
                yield_once().await;
                let engine = load.await;
                loading.store(false, Ordering::SeqCst);
                engine
            })
        },
        &["dropping_a_load_leaves_the_backend_usable"],
    );
}

#[test]
fn a_backend_under_another_name_than_its_engine_fails() {
    let inner = sound_mock().build().expect("sound settings");
    let mut info = inner.info();
    "other".clone_into(&mut info.name);
    let backend = Arc::new(Loads {
        inner,
        info,
        load: Box::new(|mock, request, progress| mock.load(request, progress)),
    });
    let suite = EngineSuite::of_backend(backend, LoadRequest::new("models/mock"));
    assert_failed(&suite.run(), &["the_backend_names_itself_and_is_available"]);
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
