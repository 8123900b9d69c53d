//! Engines that ignore log-probabilities, constraints or loop guards, or get them wrong.

use engine_core::{
    Engine, Field, FinishReason, GenerateParams, GenerationEvent, GenerationStream, Result,
    ValidRequest,
};
use futures_util::StreamExt;

use crate::flawed_engine::{Flaw, assert_fails, with_params};

/// Changes the settings of each request.
struct Change(fn(&mut GenerateParams));

impl Flaw for Change {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner.generate(with_params(request, inner, self.0))
    }
}

/// Changes each event.
struct Rewrite(fn(&mut GenerationEvent));

impl Flaw for Rewrite {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let rewrite = self.0;
        let events = inner.generate(request)?.map(move |event| {
            event.map(|mut event| {
                rewrite(&mut event);
                event
            })
        });
        Ok(Box::pin(events))
    }
}

#[test]
fn ignored_log_probabilities_fail() {
    assert_fails(
        || Change(|params| params.reset(Field::Logprobs)),
        &["each_token_has_its_log_probability"],
    );
}

#[test]
fn fewer_alternatives_than_asked_for_fail() {
    assert_fails(
        || Change(|params| params.logprobs = params.logprobs.map(|top| top.min(2))),
        &["each_token_has_its_log_probability"],
    );
}

#[test]
fn log_probabilities_of_something_else_fail() {
    let halved = |event: &mut GenerationEvent| {
        if let GenerationEvent::Delta { logprobs, .. } = event {
            for of in logprobs {
                of.chosen.logprob -= 1.0;
            }
        }
    };
    assert_fails(
        move || Rewrite(halved),
        &["greedy_tokens_are_the_likeliest_of_their_log_probabilities"],
    );
}

#[test]
fn log_probabilities_that_change_the_answer_fail() {
    assert_fails(
        || {
            Change(|params| {
                if params.logprobs.is_some() && params.temperature == 0.0 {
                    params.logit_bias = [(u32::from(b'.'), -100.0)].into();
                }
            })
        },
        &[
            "greedy_tokens_are_the_likeliest_of_their_log_probabilities",
            "log_probabilities_change_no_answer",
        ],
    );
}

#[test]
fn an_ignored_constraint_fails() {
    assert_fails(
        || Change(|params| params.reset(Field::Constraint)),
        &[
            "an_answer_has_the_form_of_its_constraint",
            "a_greedy_answer_has_the_form_of_its_constraint",
            "a_constraint_that_cannot_be_enforced_is_refused",
            "a_loop_ends_with_its_reason",
        ],
    );
}

#[test]
fn a_constraint_on_random_choices_alone_fails() {
    assert_fails(
        || {
            Change(|params| {
                let is_schema = matches!(
                    params.constraint,
                    Some(engine_core::Constraint::JsonSchema(_))
                );
                if params.temperature == 0.0 && is_schema && params.max_tokens > 64 {
                    params.reset(Field::Constraint);
                }
            })
        },
        &["a_greedy_answer_has_the_form_of_its_constraint"],
    );
}

#[test]
fn an_ignored_loop_guard_fails() {
    assert_fails(
        || Change(|params| params.reset(Field::LoopGuard)),
        &["a_loop_ends_with_its_reason"],
    );
}

#[test]
fn a_loop_of_another_length_fails() {
    let longer = |event: &mut GenerationEvent| {
        if let GenerationEvent::Done(summary) = event
            && let FinishReason::Loop(length) = &mut summary.finish
        {
            *length += 1;
        }
    };
    assert_fails(move || Rewrite(longer), &["a_loop_ends_with_its_reason"]);
}
