//! What ends an answer.

use engine_core::{Engine, Field, FinishReason};

use super::{
    answers::REPLACEMENT,
    recording::Answer,
    subject::{Subject, ran_to_its_limit},
};
use crate::case::{Case, CaseResult, OrFail, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    a_stop_string_is_found_across_token_borders,
    nothing_of_a_stop_string_leaks,
    the_earliest_of_several_stop_strings_counts,
    text_that_only_begins_like_a_stop_string_is_delivered,
    a_stop_token_ends_the_answer_before_it,
    ignoring_the_end_of_text_goes_on_to_the_limit,
];

/// No model writes this.
const NEVER_WRITTEN: &str = "\u{1}\u{2}";

/// Texts of the answer that lie across the border behind its first `border` tokens: a short and a
/// long one, or none if characters lie across it too.
fn texts_across(engine: &dyn Engine, answer: &Answer, border: usize) -> CaseResult<Vec<String>> {
    let mut texts = Vec::new();
    let before = engine
        .detokenize(&answer.tokens[..border])
        .or_fail("detokenize")?;
    // A border inside a character is none in the text.
    let Some(after) = answer.text.strip_prefix(before.as_str()) else {
        return Ok(texts);
    };
    if before.is_empty() || after.is_empty() {
        return Ok(texts);
    }
    for (back, forth) in [(1, 1), (3, 6)] {
        let skipped = before.chars().count().saturating_sub(back);
        let mut text: String = before.chars().skip(skipped).collect();
        text.extend(after.chars().take(forth));
        if !text.contains(REPLACEMENT) {
            texts.push(text);
        }
    }
    Ok(texts)
}

/// Texts of the answer that lie across borders of tokens, at a few places.
fn texts_across_borders(engine: &dyn Engine, answer: &Answer) -> CaseResult<Vec<String>> {
    let mut texts = Vec::new();
    let len = answer.tokens.len();
    for wanted in [len / 4, len / 2, len * 3 / 4] {
        // The nearest border that suits.
        let mut borders: Vec<usize> = (1..len).collect();
        borders.sort_by_key(|border| border.abs_diff(wanted));
        for border in borders {
            let found = texts_across(engine, answer, border)?;
            if !found.is_empty() {
                texts.extend(found);
                break;
            }
        }
    }
    texts.sort();
    texts.dedup();
    ensure!(
        !texts.is_empty(),
        "no border of tokens in {:?} suits a stop string; give the suite other prompts",
        answer.text
    );
    Ok(texts)
}

/// Runs every prompt with every stop string that suits it.
fn with_each_stop_string(
    subject: &mut Subject,
    check: impl Fn(&dyn Engine, &str, &Answer, &Answer) -> CaseResult,
) -> CaseResult {
    subject.needs(&[Field::Stop])?;
    let engine = subject.engine()?;
    for prompt in subject.prompts() {
        let whole = subject.greedy(&prompt)?;
        for stop in texts_across_borders(engine.as_ref(), &whole)? {
            let params = subject.greedy_params().with_stop(stop.as_str());
            let answer = subject.answer(prompt.as_str(), params)?;
            check(engine.as_ref(), &stop, &whole, &answer)?;
        }
    }
    Ok(())
}

fn a_stop_string_is_found_across_token_borders(subject: &mut Subject) -> CaseResult {
    with_each_stop_string(subject, |engine, stop, whole, answer| {
        ensure!(
            *answer.finish() == FinishReason::StopString(stop.to_owned()),
            "the stop {stop:?} of {:?} was not found: {}",
            whole.text,
            answer.in_words()
        );
        ensure!(
            whole.tokens.starts_with(&answer.tokens),
            "with the stop {stop:?} came other tokens than without it"
        );
        let all_but_one = &answer.tokens[..answer.tokens.len().saturating_sub(1)];
        let earlier = engine.detokenize(all_but_one).or_fail("detokenize")?;
        ensure!(
            !earlier.contains(stop),
            "the answer went on after the stop {stop:?}: {:?}",
            engine.detokenize(&answer.tokens).or_fail("detokenize")?
        );
        Ok(())
    })
}

fn nothing_of_a_stop_string_leaks(subject: &mut Subject) -> CaseResult {
    with_each_stop_string(subject, |_, stop, whole, answer| {
        let expected = before_first(&whole.text, &[stop]).unwrap_or(&whole.text);
        ensure!(
            answer.text == expected,
            "with the stop {stop:?} the answer is {:?} instead of {expected:?}",
            answer.text
        );
        Ok(())
    })
}

/// The text before the earliest of the stops.
fn before_first<'a>(text: &'a str, stops: &[&str]) -> Option<&'a str> {
    let ends = stops.iter().filter_map(|stop| text.find(stop));
    ends.min().map(|end| &text[..end])
}

fn the_earliest_of_several_stop_strings_counts(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Stop])?;
    let engine = subject.engine()?;
    for prompt in subject.prompts() {
        let whole = subject.greedy(&prompt)?;
        let mut stops = texts_across_borders(engine.as_ref(), &whole)?;
        stops.insert(0, NEVER_WRITTEN.to_owned());
        stops.reverse();
        let mut params = subject.greedy_params();
        params.stop.clone_from(&stops);
        let answer = subject.answer(prompt.as_str(), params)?;
        let FinishReason::StopString(found) = answer.finish() else {
            fail!(
                "none of the stops {stops:?} was found: {}",
                answer.in_words()
            );
        };
        let stops: Vec<_> = stops.iter().map(String::as_str).collect();
        let expected = before_first(&whole.text, &stops).unwrap_or(&whole.text);
        ensure!(
            answer.text == expected && whole.text[expected.len()..].starts_with(found.as_str()),
            "of the stops {stops:?}, {found:?} left {:?} instead of {expected:?}",
            answer.text
        );
    }
    Ok(())
}

fn text_that_only_begins_like_a_stop_string_is_delivered(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Stop])?;
    for prompt in subject.prompts() {
        let whole = subject.greedy(&prompt)?;
        let chars: Vec<_> = whole.text.chars().collect();
        let middle = chars.len() / 2;
        // One begins in the middle of the answer, the other with its very end.
        for begin in [
            &chars[middle..(middle + 4).min(chars.len())],
            &chars[chars.len().saturating_sub(4)..],
        ] {
            let mut stop: String = begin.iter().collect();
            stop.push_str(NEVER_WRITTEN);
            let params = subject.greedy_params().with_stop(stop.as_str());
            let answer = subject.answer(prompt.as_str(), params)?;
            ensure!(
                answer.is_same_as(&whole),
                "with the stop {stop:?}, which never comes, the answer is {} instead of {}",
                answer.in_words(),
                whole.in_words()
            );
        }
    }
    Ok(())
}

fn a_stop_token_ends_the_answer_before_it(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::StopTokens])?;
    for prompt in subject.prompts() {
        let whole = subject.greedy(&prompt)?;
        let len = whole.tokens.len();
        for stop in [
            whole.tokens[0],
            whole.tokens[len / 2],
            whole.tokens[len - 1],
        ] {
            let first = whole.tokens.iter().position(|token| *token == stop);
            let mut params = subject.greedy_params();
            params.stop_tokens = vec![stop];
            let answer = subject.answer(prompt.as_str(), params)?;
            ensure!(
                *answer.finish() == FinishReason::StopToken(stop),
                "the stop token {stop} was not found: {}",
                answer.in_words()
            );
            ensure!(
                answer.tokens == whole.tokens[..first.unwrap_or(len)],
                "before the stop token {stop} came {} tokens instead of {}",
                answer.tokens.len(),
                first.unwrap_or(len)
            );
        }
    }
    Ok(())
}

/// An answer that must end by itself gets this many tokens.
const ROOM_TO_END: u32 = 256;

fn ignoring_the_end_of_text_goes_on_to_the_limit(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::IgnoreEos])?;
    let mut prompts: Vec<engine_core::Prompt> =
        subject.prompts().into_iter().map(Into::into).collect();
    if subject.needs(&[Field::Messages]).is_ok() {
        prompts.push(subject.settings.chat.clone().into());
    }
    for prompt in prompts {
        // An answer that ends by itself shows the effect; any other must at least reach the limit.
        let long = subject.settings.answer_tokens.max(ROOM_TO_END / 8);
        let ended = subject.answer(
            prompt.clone(),
            subject.greedy_params().with_max_tokens(long),
        )?;
        let limit = match ended.finish() {
            FinishReason::EndOfText(token) => {
                ensure!(
                    ended.tokens.last() != Some(token),
                    "the end-of-text token {token} was delivered"
                );
                ended.tokens.len() as u32 + 2
            }
            _ => subject.settings.answer_tokens,
        };
        let mut params = subject.greedy_params().with_max_tokens(limit);
        params.ignore_eos = true;
        let answer = subject.answer(prompt, params)?;
        ensure!(
            ran_to_its_limit(&answer),
            "the answer ended with {} before {limit} tokens",
            answer.finish().name()
        );
        ensure!(
            answer.tokens.len() == limit as usize,
            "{} tokens came instead of {limit}",
            answer.tokens.len()
        );
        ensure!(
            answer
                .tokens
                .starts_with(&ended.tokens[..ended.tokens.len().min(limit as usize)]),
            "the tokens before the end of the text changed"
        );
    }
    Ok(())
}
