//! The order of events, and what they add up to.

use engine_core::{FinishReason, Prompt};

use super::{
    answers::{REPLACEMENT, cuts_inside_characters},
    subject::{Subject, ran_to_its_limit},
};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    a_stream_is_prefill_then_deltas_then_done,
    nothing_follows_done,
    prefill_grows_and_ends_at_its_total,
    joined_text_is_the_decoded_tokens,
    no_delta_splits_a_character,
    an_answer_cut_inside_a_character_still_equals_its_decoding,
    usage_counts_the_delivered_tokens,
    max_tokens_is_the_length_of_a_longer_answer,
    greedy_answers_repeat,
    a_strict_request_ignores_nothing,
    streams_move_between_threads,
];

/// All prompts, and a long one that may take several pieces to read.
fn prompts_and_a_long_one(subject: &Subject) -> Vec<String> {
    let mut prompts = subject.prompts();
    prompts.push(format!("{} ", subject.prompt()).repeat(6).trim_end().into());
    prompts
}

fn a_stream_is_prefill_then_deltas_then_done(subject: &mut Subject) -> CaseResult {
    for prompt in prompts_and_a_long_one(subject) {
        let params = subject.greedy_params();
        let recording = subject.record(prompt.as_str(), params)?;
        ensure!(
            recording.misplaced.is_empty(),
            "out of order: {}",
            recording.misplaced.join("; ")
        );
        recording.into_answer()?;
    }
    Ok(())
}

fn nothing_follows_done(subject: &mut Subject) -> CaseResult {
    let (prompt, params) = (subject.prompt(), subject.greedy_params());
    let recording = subject.record(prompt, params)?;
    ensure!(recording.summary.is_some(), "the stream has no Done");
    ensure!(
        recording.after_the_end.is_empty(),
        "after Done came {}",
        recording.after_the_end.join("; ")
    );
    Ok(())
}

fn prefill_grows_and_ends_at_its_total(subject: &mut Subject) -> CaseResult {
    for prompt in prompts_and_a_long_one(subject) {
        let params = subject.greedy_params().with_max_tokens(2);
        let recording = subject.record(prompt.as_str(), params)?;
        let steps = recording.prefill.clone();
        let prompt_tokens = recording.into_answer()?.summary.usage.prompt_tokens;
        ensure!(
            steps.iter().all(|(_, total)| *total == prompt_tokens),
            "a prefill's total is not the {prompt_tokens} tokens of the prompt: {steps:?}"
        );
        ensure!(
            steps.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "the tokens read do not grow: {steps:?}"
        );
        ensure!(
            steps.last().is_none_or(|last| last.0 == prompt_tokens),
            "the last prefill is not the {prompt_tokens} tokens of the prompt: {steps:?}"
        );
    }
    Ok(())
}

fn joined_text_is_the_decoded_tokens(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    for prompt in subject.prompts() {
        let answer = subject.greedy(&prompt)?;
        let decoded = engine.detokenize(&answer.tokens).or_fail("detokenize")?;
        ensure!(
            answer.text == decoded,
            "the deltas join to {:?}, and their tokens decode to {decoded:?}",
            answer.text
        );
    }
    Ok(())
}

fn no_delta_splits_a_character(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    let mut split = 0;
    for prompt in subject.prompts() {
        let answer = subject.greedy(&prompt)?;
        split += cuts_inside_characters(engine.as_ref(), &answer.tokens)?.len();
        let decoded = engine.detokenize(&answer.tokens).or_fail("detokenize")?;
        let (seen, expected) = (
            answer.text.matches(REPLACEMENT).count(),
            decoded.matches(REPLACEMENT).count(),
        );
        ensure!(
            seen <= expected,
            "{seen} broken characters were delivered, and the answer has {expected}: {:?}",
            answer.text
        );
    }
    needs_split_characters(split)
}

fn needs_split_characters(split: usize) -> CaseResult {
    if split > 0 {
        return Ok(());
    }
    Err(Stop::NotApplicable(
        "no answer has a character of several tokens; other prompts may get one".to_owned(),
    ))
}

fn an_answer_cut_inside_a_character_still_equals_its_decoding(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    let mut cut = 0;
    for prompt in subject.prompts() {
        let whole = subject.greedy(&prompt)?;
        for len in cuts_inside_characters(engine.as_ref(), &whole.tokens)?
            .into_iter()
            .take(3)
        {
            let params = subject.greedy_params().with_max_tokens(len as u32);
            let answer = subject.answer(prompt.as_str(), params)?;
            let decoded = engine.detokenize(&answer.tokens).or_fail("detokenize")?;
            ensure!(
                answer.tokens == whole.tokens[..len] && answer.text == decoded,
                "cut at {len} tokens the deltas join to {:?}, and their tokens decode to \
                 {decoded:?}",
                answer.text
            );
            cut += 1;
        }
    }
    needs_split_characters(cut)
}

fn usage_counts_the_delivered_tokens(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    for prompt in subject.prompts() {
        let answer = subject.greedy(&prompt)?;
        let usage = answer.summary.usage;
        ensure!(
            usage.generated_tokens == answer.tokens.len(),
            "{} generated tokens are reported, and {} were delivered",
            usage.generated_tokens,
            answer.tokens.len()
        );
        let prompt_tokens = engine.tokenize(&prompt).or_fail("tokenize")?.len();
        ensure!(
            usage.prompt_tokens == prompt_tokens,
            "{} prompt tokens are reported, and the prompt has {prompt_tokens}",
            usage.prompt_tokens
        );
    }
    Ok(())
}

fn max_tokens_is_the_length_of_a_longer_answer(subject: &mut Subject) -> CaseResult {
    for prompt in subject.prompts() {
        let whole = subject.greedy(&prompt)?;
        ensure!(
            whole.tokens.len() <= subject.settings.answer_tokens as usize,
            "{} tokens came, and {} were asked for",
            whole.tokens.len(),
            subject.settings.answer_tokens
        );
        for len in [1, 2, whole.tokens.len() - 1] {
            let params = subject.greedy_params().with_max_tokens(len as u32);
            let answer = subject.answer(prompt.as_str(), params)?;
            ensure!(
                answer.tokens == whole.tokens[..len],
                "{len} tokens were asked for, and {} came",
                answer.in_words()
            );
            ensure!(
                *answer.finish() == FinishReason::MaxTokens,
                "{len} tokens were asked for, and the answer ended with {}",
                answer.finish().name()
            );
        }
    }
    Ok(())
}

fn greedy_answers_repeat(subject: &mut Subject) -> CaseResult {
    for prompt in subject.prompts() {
        let first = subject.greedy(&prompt)?;
        let params = subject.greedy_params();
        let second = subject.answer(prompt.as_str(), params)?;
        ensure!(
            second.is_same_as(&first),
            "the same greedy request gave {} and then {}",
            first.in_words(),
            second.in_words()
        );
        ensure!(
            second.summary.seed.is_none(),
            "a seed is reported, and no random choice was made"
        );
        ensure!(
            !ran_to_its_limit(&second) || second.tokens.len() == first.tokens.len(),
            "the answers have different lengths"
        );
    }
    Ok(())
}

fn a_strict_request_ignores_nothing(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    let answer = subject.greedy(&prompt)?;
    ensure!(
        answer.summary.ignored.is_empty(),
        "a strict request was answered without {:?}",
        answer.summary.ignored
    );
    Ok(())
}

fn streams_move_between_threads(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    let expected = subject.greedy(&prompt)?;
    let params = subject.greedy_params();
    // Started and first read here, read to the end there, on an executor of its own.
    let stream = subject.start(Prompt::Text(prompt), params)?;
    let elsewhere = std::thread::spawn(move || {
        futures_executor::block_on(super::recording::Recording::of(stream))
    });
    let Ok(recording) = elsewhere.join() else {
        fail!("the thread that read the stream panicked");
    };
    let answer = recording.into_answer()?;
    ensure!(
        answer.is_same_as(&expected),
        "on another thread came {} instead of {}",
        answer.in_words(),
        expected.in_words()
    );
    Ok(())
}
