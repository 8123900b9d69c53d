//! Engines that claim a field and do not honour it, or lack one and do not say so.

use std::sync::atomic::{AtomicBool, Ordering};

use engine_core::{
    Capabilities, Engine, Field, FieldSet, GenerateParams, GenerateRequest, GenerationEvent,
    GenerationStream, Message, Result, ValidRequest,
};
use futures_util::StreamExt;

use crate::flawed_engine::{Flaw, assert_failed, assert_fails, sound_mock, suite, with_params};

/// Changes the settings of each request.
struct Change(fn(&mut GenerateParams));

impl Flaw for Change {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner.generate(with_params(request, inner, self.0))
    }
}

#[track_caller]
fn ignoring_fails(change: fn(&mut GenerateParams), expected: &[&str]) {
    assert_fails(move || Change(change), expected);
}

#[test]
fn an_ignored_temperature_fails() {
    ignoring_fails(
        |params| {
            // What has no effect without it.
            for field in [
                Field::Temperature,
                Field::TypicalP,
                Field::Xtc,
                Field::Mirostat,
            ] {
                params.reset(field);
            }
        },
        &[
            "temperature_changes_the_answer",
            "different_seeds_give_different_answers",
            "the_seed_is_reported_and_gives_the_answer_again",
            "the_likeliest_token_alone_by_top_k_is_greedy",
            "the_likeliest_token_alone_by_top_p_is_greedy",
            "the_likeliest_token_alone_by_min_p_is_greedy",
        ],
    );
}

#[test]
fn an_ignored_seed_fails() {
    ignoring_fails(
        |params| params.reset(Field::Seed),
        &[
            "the_same_seed_gives_the_same_answer",
            "the_seed_is_reported_and_gives_the_answer_again",
        ],
    );
}

#[test]
fn one_seed_for_all_fails() {
    ignoring_fails(
        |params| params.seed = Some(1),
        &[
            "different_seeds_give_different_answers",
            "the_seed_is_reported_and_gives_the_answer_again",
        ],
    );
}

#[test]
fn an_ignored_top_k_fails() {
    ignoring_fails(
        |params| params.reset(Field::TopK),
        &["the_likeliest_token_alone_by_top_k_is_greedy"],
    );
}

#[test]
fn an_ignored_top_p_fails() {
    ignoring_fails(
        |params| params.reset(Field::TopP),
        &["the_likeliest_token_alone_by_top_p_is_greedy"],
    );
}

#[test]
fn an_ignored_min_p_fails() {
    ignoring_fails(
        |params| params.reset(Field::MinP),
        &["the_likeliest_token_alone_by_min_p_is_greedy"],
    );
}

#[test]
fn an_ignored_repetition_penalty_fails() {
    ignoring_fails(
        |params| params.reset(Field::RepetitionPenalty),
        &[
            "repetition_penalty_changes_the_answer",
            "penalty_window_changes_the_answer",
        ],
    );
}

#[test]
fn an_ignored_presence_penalty_fails() {
    ignoring_fails(
        |params| params.reset(Field::PresencePenalty),
        &["presence_penalty_changes_the_answer"],
    );
}

#[test]
fn an_ignored_frequency_penalty_fails() {
    ignoring_fails(
        |params| params.reset(Field::FrequencyPenalty),
        &["frequency_penalty_changes_the_answer"],
    );
}

#[test]
fn an_ignored_penalty_window_fails() {
    ignoring_fails(
        |params| params.reset(Field::PenaltyWindow),
        &["penalty_window_changes_the_answer"],
    );
}

#[test]
fn an_ignored_stop_string_fails() {
    ignoring_fails(
        |params| params.reset(Field::Stop),
        &[
            "a_stop_string_is_found_across_token_borders",
            "nothing_of_a_stop_string_leaks",
            "the_earliest_of_several_stop_strings_counts",
        ],
    );
}

#[test]
fn only_the_first_stop_string_counting_fails() {
    ignoring_fails(
        |params| params.stop.truncate(1),
        &["the_earliest_of_several_stop_strings_counts"],
    );
}

#[test]
fn an_ignored_stop_token_fails() {
    ignoring_fails(
        |params| params.reset(Field::StopTokens),
        &["a_stop_token_ends_the_answer_before_it"],
    );
}

#[test]
fn an_end_of_text_that_ends_after_all_fails() {
    // Cases that count on an endless generation may fail too; whether they do is a matter of time.
    let suite = suite(sound_mock(), || {
        Change(|params| params.reset(Field::IgnoreEos))
    })
    .only(&[
        "ignoring_the_end_of_text_goes_on_to_the_limit",
        "greedy_answers_repeat",
    ]);
    assert_failed(
        &suite.run(),
        &["ignoring_the_end_of_text_goes_on_to_the_limit"],
    );
}

/// Claims less than it can, and lists what it ignores or not.
struct Claims {
    fields: FieldSet,
    lists_ignored: bool,
    renders_chats: bool,
}

impl Flaw for Claims {
    fn capabilities(&self, inner: &dyn Engine) -> Capabilities {
        inner.capabilities().with_fields(self.fields)
    }

    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        if self.lists_ignored {
            return inner.generate(request);
        }
        let (prompt, params, _) = request.into_parts();
        let request = GenerateRequest::new(prompt).with_params(params);
        inner.generate(request.validate("mock", &inner.capabilities())?)
    }

    fn render_chat(&self, inner: &dyn Engine, messages: &[Message]) -> Result<String> {
        if self.renders_chats {
            return inner.render_chat(messages);
        }
        Err(engine_core::Error::Unsupported {
            backend: "mock".to_owned(),
            field: Field::Messages,
        })
    }
}

fn greedy_only() -> FieldSet {
    FieldSet::NONE
        .with(Field::Prompt)
        .with(Field::MaxTokens)
        .with(Field::Stop)
}

#[test]
fn an_engine_that_honestly_claims_little_passes_what_applies() {
    let claims = || Claims {
        fields: greedy_only(),
        lists_ignored: true,
        renders_chats: false,
    };
    let report = suite(sound_mock(), claims).run();
    report.assert_passed(50);
}

#[test]
fn a_capability_that_is_no_longer_claimed_changes_the_number_that_passes() {
    let report_of = |fields| {
        suite(sound_mock(), move || Claims {
            fields,
            lists_ignored: true,
            renders_chats: true,
        })
        .run()
    };
    let all = report_of(FieldSet::GENERATION);
    let without = report_of(FieldSet::GENERATION.without(Field::TopK));
    assert!(all.failed().is_empty() && without.failed().is_empty());
    assert_ne!(all.passed().len(), without.passed().len());
}

#[test]
fn an_unlisted_ignored_field_fails() {
    assert_fails(
        || Claims {
            fields: FieldSet::GENERATION.without(Field::TopK),
            lists_ignored: false,
            renders_chats: true,
        },
        &["a_lenient_request_lists_what_it_ignores"],
    );
}

#[test]
fn a_chat_rendered_without_being_claimed_fails() {
    assert_fails(
        || Claims {
            fields: FieldSet::GENERATION.without(Field::Messages),
            lists_ignored: true,
            renders_chats: true,
        },
        &["without_a_chat_template_messages_are_refused"],
    );
}

/// Claims all or little, from one call to the next.
#[derive(Default)]
struct FickleClaims(AtomicBool);

impl Flaw for FickleClaims {
    fn capabilities(&self, inner: &dyn Engine) -> Capabilities {
        let all = self.0.fetch_xor(true, Ordering::SeqCst);
        inner.capabilities().with_fields(if all {
            FieldSet::GENERATION
        } else {
            greedy_only()
        })
    }
}

#[test]
fn claims_that_change_fail() {
    let cases = ["a_field_that_is_not_claimed_is_refused_by_name"];
    let suite = suite(sound_mock(), FickleClaims::default).only(&cases);
    assert_eq!(suite.run().failed(), cases);
}

/// Lists a field as ignored that nobody asked it to ignore.
struct ListsTooMuch;

impl Flaw for ListsTooMuch {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let events = inner.generate(request)?.map(|event| match event {
            Ok(GenerationEvent::Done(mut summary)) => {
                summary.ignored = vec![Field::Seed];
                Ok(GenerationEvent::Done(summary))
            }
            other => other,
        });
        Ok(Box::pin(events))
    }
}

#[test]
fn a_field_ignored_in_a_strict_request_fails() {
    assert_fails(
        || ListsTooMuch,
        &[
            "a_strict_request_ignores_nothing",
            "every_claimed_field_is_accepted",
        ],
    );
}
