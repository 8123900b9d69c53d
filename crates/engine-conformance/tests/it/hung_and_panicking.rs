//! Subjects that hang or panic: one failed case each, and the suite goes on.

use std::{sync::Arc, time::Duration};

use engine_conformance::{EngineSuite, ModelSuite, Outcome};
use engine_core::{Engine, Error, GenerationStream, Model, Result, ValidRequest};
use engine_mock::{Fault, MockBackend};
use futures_util::StreamExt;

use crate::flawed_engine::{Flaw, assert_failed, sound_mock, suite};

/// Never ends a stream that failed.
struct Hangs;

impl Flaw for Hangs {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let events = inner.generate(request)?;
        Ok(Box::pin(events.filter_map(|event| async move {
            if event.is_err() {
                std::future::pending::<()>().await;
            }
            Some(event)
        })))
    }
}

#[test]
fn a_case_that_hangs_fails_and_the_others_run() {
    let report = suite(sound_mock(), || Hangs)
        .only(&[
            "nothing_follows_done",
            "nothing_follows_an_error",
            "info_makes_sense",
        ])
        .with_deadline(Duration::from_secs(2))
        .run();
    assert_failed(&report, &["nothing_follows_an_error"]);
    assert_eq!(report.passed().len(), 2, "{report}");
    let Outcome::Failed { message } = &report.cases()[1].outcome else {
        panic!("{report}");
    };
    assert_eq!(message, "did not end within 2 s");
}

struct Panics;

impl Flaw for Panics {
    fn render_chat(&self, _: &dyn Engine, _: &[engine_core::Message]) -> Result<String> {
        std::panic::resume_unwind(Box::new("no template".to_owned()));
    }
}

#[test]
fn a_case_that_panics_fails_and_the_others_run() {
    let report = suite(sound_mock(), || Panics)
        .only(&[
            "a_chat_is_answered_as_its_rendered_text",
            "a_stop_string_is_found_across_token_borders",
        ])
        .run();
    assert_failed(&report, &["a_chat_is_answered_as_its_rendered_text"]);
    assert!(
        report.to_string().contains("panicked: no template"),
        "{report}"
    );
    assert_eq!(report.passed().len(), 1, "{report}");
}

#[test]
fn an_engine_that_can_not_be_loaded_fails_every_case_with_the_reason() {
    let suite = EngineSuite::new(|| {
        Box::pin(std::future::ready(Err::<Arc<dyn Engine>, _>(
            Error::Unavailable {
                backend: "example".to_owned(),
                reason: "it is switched off".to_owned(),
            },
        )))
    })
    .only(&["greedy_answers_repeat", "info_makes_sense"]);
    let report = suite.run();
    assert_eq!(report.failed().len(), 2);
    assert!(
        report.to_string().contains("it is switched off"),
        "{report}"
    );
}

#[test]
fn a_model_that_panics_fails_the_case_and_the_others_run() {
    let report = ModelSuite::new(|| {
        let backend = MockBackend::builder().fault(Fault::panic(2)).build()?;
        Ok(Box::new(backend.model()?) as Box<dyn Model>)
    })
    .only(&["a_new_sequence_is_empty", "a_run_makes_its_sequence_longer"])
    .run();
    assert_failed(&report, &["a_run_makes_its_sequence_longer"]);
}

#[test]
fn a_model_that_gives_no_numbers_fails() {
    let report = ModelSuite::new(|| {
        let backend = MockBackend::builder()
            .fault(Fault::nan(0).repeating())
            .build()?;
        Ok(Box::new(backend.model()?) as Box<dyn Model>)
    })
    .only(&["logits_are_finite", "computing_again_gives_the_same"])
    .run();
    assert_eq!(report.failed().len(), 2, "{report}");
}
