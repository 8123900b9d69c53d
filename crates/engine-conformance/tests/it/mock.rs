//! The mock keeps the contract.

use std::sync::Arc;

use engine_conformance::{EngineSuite, ModelSuite};
use engine_core::{LoadRequest, Model};
use engine_mock::{MockBackend, MockBuilder, Script};

use crate::flawed_engine::sound_mock;

fn engine_suite(mock: MockBuilder) -> EngineSuite {
    EngineSuite::of_backend(
        Arc::new(mock.build().expect("sound settings")),
        LoadRequest::new("models/mock"),
    )
}

fn model_suite(mock: MockBuilder) -> ModelSuite {
    let backend = mock.build().expect("sound settings");
    ModelSuite::new(move || Ok(Box::new(backend.model()?) as Box<dyn Model>))
}

fn script() -> Script {
    Script::new()
        .when("sea", "The sea is a very large amount of salt water.")
        .reply("One reply, with a crab 🦀 in it.")
        .reply("And another one.")
}

#[test]
fn a_seeded_engine_conforms() {
    let report = engine_suite(sound_mock()).run();
    report.assert_passed(72);
}

#[test]
fn an_engine_that_chooses_on_its_device_conforms() {
    let report = engine_suite(sound_mock().device_choice(true)).run();
    report.assert_passed(72);
}

#[test]
fn a_seeded_model_conforms() {
    let report = model_suite(MockBackend::builder().context_length(512)).run();
    report.assert_passed(37);
}

#[test]
fn a_scripted_model_conforms() {
    let mock = MockBackend::builder()
        .scripted(script())
        .context_length(512);
    let report = model_suite(mock).run();
    report.assert_passed(37);
}

#[test]
fn a_model_that_chooses_on_its_device_conforms() {
    let mock = MockBackend::builder()
        .device_choice(true)
        .context_length(512);
    let report = model_suite(mock).run();
    report.assert_passed(42);
}
