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
    report.assert_passed(86);
}

#[test]
fn an_engine_that_chooses_on_its_device_conforms() {
    let report = engine_suite(sound_mock().device_choice(true)).run();
    report.assert_passed(86);
}

#[test]
fn an_engine_that_thinks_and_calls_conforms() {
    let thought = "I should look that up. ".repeat(4);
    let reply = format!(
        "<think>\n{thought}\n</think>\n\nLet me see.<tool_call>{{\"name\": \
         \"look_up_7f3a\"}}</tool_call>"
    );
    for on_device in [false, true] {
        let mock = MockBackend::builder()
            .scripted(Script::new().reply(reply.as_str()))
            .device_choice(on_device);
        let suite = engine_suite(mock).with_answer_tokens(300);
        let cases = [
            "the_text_of_a_prompt_is_what_the_model_reads",
            "tools_are_shown_or_refused",
            "a_tool_that_must_be_called_is_called_or_refused",
            "thinking_is_switched_or_refused",
            "the_parts_of_a_chats_answer_add_up",
            "a_call_is_of_a_tool_that_was_offered",
            "what_is_shown_of_a_call_comes_true",
            "thinking_ends_when_its_limit_is_reached",
            "a_chat_is_answered_as_its_rendered_text",
        ];
        suite.only(&cases).run().assert_passed(cases.len());
    }
}

#[test]
fn a_seeded_model_conforms() {
    let report = model_suite(MockBackend::builder().context_length(512)).run();
    report.assert_passed(45);
}

#[test]
fn a_scripted_model_conforms() {
    let mock = MockBackend::builder()
        .scripted(script())
        .context_length(512);
    let report = model_suite(mock).run();
    report.assert_passed(45);
}

#[test]
fn a_model_that_chooses_on_its_device_conforms() {
    let mock = MockBackend::builder()
        .device_choice(true)
        .context_length(512);
    let report = model_suite(mock).run();
    report.assert_passed(50);
}

#[test]
fn a_model_with_a_window_conforms() {
    for window in [6, 40] {
        let mock = MockBackend::builder()
            .sliding_window(window.try_into().expect("not zero"))
            .context_length(512);
        let report = model_suite(mock).run();
        // Cases that cut further back than the smaller window end there.
        report.assert_passed(if window == 6 { 43 } else { 46 });
    }
}
