//! Engines whose streams break the contract.

use engine_core::{
    Engine, FinishReason, GenerateRequest, GenerationEvent, GenerationStream, GenerationSummary,
    Prompt, Result, Timings, Usage, ValidRequest,
};
use futures_util::{StreamExt, stream};

use crate::flawed_engine::{Flaw, assert_failed, assert_fails, sound_mock, suite, with_params};

/// Changes each stream.
struct Rewrite(fn(GenerationStream) -> GenerationStream);

impl Flaw for Rewrite {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        Ok((self.0)(inner.generate(request)?))
    }
}

fn rewritten(
    events: GenerationStream,
    rewrite: impl FnMut(Result<GenerationEvent>) -> Vec<Result<GenerationEvent>> + Send + 'static,
) -> GenerationStream {
    let mut rewrite = rewrite;
    Box::pin(events.flat_map(move |event| stream::iter(rewrite(event))))
}

fn delta(text: &str) -> GenerationEvent {
    GenerationEvent::Delta {
        text: text.to_owned(),
        tokens: Vec::new(),
        logprobs: Vec::new(),
    }
}

fn two_dones(events: GenerationStream) -> GenerationStream {
    rewritten(events, |event| match event {
        Ok(GenerationEvent::Done(summary)) => vec![
            Ok(GenerationEvent::Done(summary.clone())),
            Ok(GenerationEvent::Done(summary)),
        ],
        other => vec![other],
    })
}

#[test]
fn two_dones_fail() {
    assert_fails(|| Rewrite(two_dones), &["nothing_follows_done"]);
}

fn text_after_an_error(events: GenerationStream) -> GenerationStream {
    rewritten(events, |event| match event {
        Err(error) => vec![Err(error), Ok(delta("Sorry, I can't answer that."))],
        other => vec![other],
    })
}

#[test]
fn text_after_an_error_fails() {
    assert_fails(
        || Rewrite(text_after_an_error),
        &[
            "nothing_follows_an_error",
            "unloading_ends_a_running_generation",
            "dropping_the_last_handle_ends_a_running_generation",
        ],
    );
}

fn an_answer_for_an_error(events: GenerationStream) -> GenerationStream {
    rewritten(events, |event| match event {
        Err(_) => vec![
            Ok(delta("Sorry, I can't answer that.")),
            Ok(GenerationEvent::Done(GenerationSummary {
                finish: FinishReason::MaxTokens,
                usage: Usage::default(),
                timings: Timings::default(),
                seed: None,
                ignored: Vec::new(),
            })),
        ],
        other => vec![other],
    })
}

#[test]
fn an_answer_for_an_error_fails() {
    assert_fails(
        || Rewrite(an_answer_for_an_error),
        &[
            "a_constraint_that_cannot_be_enforced_is_refused",
            "a_prompt_that_fills_the_context_is_an_error",
            "a_token_outside_the_vocabulary_is_an_error",
            "nothing_follows_an_error",
            "a_failed_generation_leaves_the_engine_usable",
            "a_failed_generation_frees_its_sequence",
            "unloading_ends_a_running_generation",
            "dropping_the_last_handle_ends_a_running_generation",
        ],
    );
}

fn no_done(events: GenerationStream) -> GenerationStream {
    rewritten(events, |event| match event {
        Ok(GenerationEvent::Done(_)) => Vec::new(),
        other => vec![other],
    })
}

#[test]
fn a_stream_without_done_fails() {
    let suite = suite(sound_mock(), || Rewrite(no_done)).only(&[
        "a_stream_is_prefill_then_deltas_then_done",
        "nothing_follows_done",
        "info_makes_sense",
    ]);
    assert_failed(
        &suite.run(),
        &[
            "a_stream_is_prefill_then_deltas_then_done",
            "nothing_follows_done",
        ],
    );
}

fn prefill_behind_deltas(events: GenerationStream) -> GenerationStream {
    let mut held = Vec::new();
    rewritten(events, move |event| match event {
        Ok(GenerationEvent::Prefill { .. }) => {
            held.push(event);
            Vec::new()
        }
        Ok(GenerationEvent::Delta { .. }) => {
            let mut events = vec![event];
            events.append(&mut held);
            events
        }
        other => vec![other],
    })
}

#[test]
fn prefill_behind_deltas_fails() {
    assert_fails(
        || Rewrite(prefill_behind_deltas),
        &["a_stream_is_prefill_then_deltas_then_done"],
    );
}

fn prefill_that_shrinks(events: GenerationStream) -> GenerationStream {
    rewritten(events, |event| match event {
        Ok(GenerationEvent::Prefill { processed, total }) => vec![
            Ok(GenerationEvent::Prefill { processed, total }),
            Ok(GenerationEvent::Prefill {
                processed: processed - 1,
                total,
            }),
        ],
        other => vec![other],
    })
}

#[test]
fn prefill_that_shrinks_fails() {
    assert_fails(
        || Rewrite(prefill_that_shrinks),
        &["prefill_grows_and_ends_at_its_total"],
    );
}

fn miscounted(events: GenerationStream) -> GenerationStream {
    rewritten(events, |event| match event {
        Ok(GenerationEvent::Done(mut summary)) => {
            summary.usage.generated_tokens += 1;
            vec![Ok(GenerationEvent::Done(summary))]
        }
        other => vec![other],
    })
}

#[test]
fn miscounted_usage_fails() {
    assert_fails(
        || Rewrite(miscounted),
        &[
            "usage_counts_the_delivered_tokens",
            "the_parts_of_a_chats_answer_add_up",
        ],
    );
}

/// Holds text back and forgets it at the end.
fn unfinished_text(events: GenerationStream) -> GenerationStream {
    let mut held = String::new();
    rewritten(events, move |event| match event {
        Ok(GenerationEvent::Delta {
            text,
            tokens,
            logprobs,
        }) => {
            let text = std::mem::replace(&mut held, text);
            vec![Ok(GenerationEvent::Delta {
                text,
                tokens,
                logprobs,
            })]
        }
        other => vec![other],
    })
}

#[test]
fn text_that_is_held_back_and_forgotten_fails() {
    let cases = suite(sound_mock(), || Rewrite(unfinished_text))
        .run()
        .failed();
    assert!(
        cases.contains(&"joined_text_is_the_decoded_tokens"),
        "{cases:?}"
    );
}

/// Decodes each token by itself.
struct SplitsCharacters;

impl Flaw for SplitsCharacters {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        // What each byte alone decodes to.
        let broken = inner.detokenize(&inner.tokenize("🦀")?[..1])?;
        Ok(rewritten(
            inner.generate(request)?,
            move |event| match event {
                Ok(GenerationEvent::Delta {
                    text,
                    tokens,
                    logprobs,
                }) => {
                    let text = if text.is_empty() {
                        broken.clone()
                    } else {
                        text
                    };
                    vec![Ok(GenerationEvent::Delta {
                        text,
                        tokens,
                        logprobs,
                    })]
                }
                other => vec![other],
            },
        ))
    }
}

#[test]
fn a_split_character_fails() {
    let suite = suite(sound_mock(), || SplitsCharacters).only(&[
        "joined_text_is_the_decoded_tokens",
        "no_delta_splits_a_character",
        "greedy_answers_repeat",
    ]);
    assert_failed(
        &suite.run(),
        &[
            "joined_text_is_the_decoded_tokens",
            "no_delta_splits_a_character",
        ],
    );
}

/// Delivers the stop string with the text before it.
fn leaky(events: GenerationStream) -> GenerationStream {
    rewritten(events, |event| match event {
        Ok(GenerationEvent::Done(summary)) => {
            let leak = match &summary.finish {
                FinishReason::StopString(stop) => vec![Ok(delta(stop))],
                _ => Vec::new(),
            };
            let end = [Ok(GenerationEvent::Done(summary))];
            leak.into_iter().chain(end).collect()
        }
        other => vec![other],
    })
}

#[test]
fn a_leaking_stop_string_fails() {
    assert_fails(
        || Rewrite(leaky),
        &[
            "nothing_of_a_stop_string_leaks",
            "the_earliest_of_several_stop_strings_counts",
        ],
    );
}

/// Generates one token too many.
struct OneTooMany;

impl Flaw for OneTooMany {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner.generate(with_params(request, inner, |params| {
            params.max_tokens = params.max_tokens.saturating_add(1);
        }))
    }
}

#[test]
fn one_token_too_many_fails() {
    assert_fails(
        || OneTooMany,
        &[
            "an_answer_cut_inside_a_character_still_equals_its_decoding",
            "max_tokens_is_the_length_of_a_longer_answer",
            "ignoring_the_end_of_text_goes_on_to_the_limit",
        ],
    );
}

/// Takes a likely token instead of the likeliest.
struct DrawsForGreedy;

impl Flaw for DrawsForGreedy {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner.generate(with_params(request, inner, |params| {
            if params.temperature == 0.0 {
                params.temperature = 0.9;
            }
        }))
    }
}

#[test]
fn a_greedy_answer_that_is_drawn_fails() {
    let failed = suite(sound_mock(), || DrawsForGreedy).run().failed();
    assert!(failed.contains(&"greedy_answers_repeat"), "{failed:?}");
}

/// Holds back what could become a stop string, and forgets it if the answer ends otherwise.
struct ForgetsWhatItHeldBack;

impl Flaw for ForgetsWhatItHeldBack {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let has_stops = !request.params().stop.is_empty();
        let mut last = None;
        Ok(rewritten(
            inner.generate(request)?,
            move |event| match event {
                Ok(GenerationEvent::Delta { text, tokens, .. }) if has_stops => {
                    let before = last.replace((text, tokens));
                    before
                        .map(|(text, tokens)| {
                            Ok(GenerationEvent::Delta {
                                text,
                                tokens,
                                logprobs: Vec::new(),
                            })
                        })
                        .into_iter()
                        .collect()
                }
                Ok(GenerationEvent::Done(summary)) => {
                    let held = last.take().map(|(text, tokens)| {
                        let stopped = matches!(summary.finish, FinishReason::StopString(_));
                        let text = if stopped { text } else { String::new() };
                        Ok(GenerationEvent::Delta {
                            text,
                            tokens,
                            logprobs: Vec::new(),
                        })
                    });
                    let end = [Ok(GenerationEvent::Done(summary))];
                    held.into_iter().chain(end).collect()
                }
                other => vec![other],
            },
        ))
    }
}

#[test]
fn text_held_back_for_a_stop_string_and_forgotten_fails() {
    assert_fails(
        || ForgetsWhatItHeldBack,
        &["text_that_only_begins_like_a_stop_string_is_delivered"],
    );
}

/// Loses the first of the tokens that it is given.
struct LosesAToken;

impl Flaw for LosesAToken {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let (prompt, params, _) = request.into_parts();
        let prompt = match prompt {
            Prompt::Tokens(tokens) if tokens.len() > 1 => Prompt::Tokens(tokens[1..].to_vec()),
            other => other,
        };
        let request = GenerateRequest::new(prompt).with_params(params);
        inner.generate(request.validate("mock", &inner.capabilities())?)
    }
}

#[test]
fn a_lost_prompt_token_fails() {
    let cases = ["text_and_token_prompts_agree", "greedy_answers_repeat"];
    let suite = suite(sound_mock(), || LosesAToken).only(&cases);
    assert_failed(&suite.run(), &cases[..1]);
}
