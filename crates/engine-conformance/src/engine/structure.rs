//! Log-probabilities, answers of a given form, and the end of an answer that repeats itself.

use engine_core::{Constraint, Error, Field, FinishReason, GenerateParams, LoopGuard};
use serde_json::json;

use super::{recording::Answer, subject::Subject};
use crate::case::{Case, CaseResult, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    each_token_has_its_log_probability,
    greedy_tokens_are_the_likeliest_of_their_log_probabilities,
    log_probabilities_change_no_answer,
    an_answer_has_the_form_of_its_constraint,
    a_greedy_answer_has_the_form_of_its_constraint,
    a_constraint_that_cannot_be_enforced_is_refused,
    a_loop_ends_with_its_reason,
];

fn with_logprobs(subject: &mut Subject, params: GenerateParams) -> CaseResult<Answer> {
    subject.needs(&[Field::Logprobs])?;
    let prompt = subject.prompt();
    subject.answer(prompt, params.with_logprobs(4))
}

fn each_token_has_its_log_probability(subject: &mut Subject) -> CaseResult {
    let params = if subject.needs(&[Field::Temperature, Field::Seed]).is_ok() {
        subject.sampled_params(3)
    } else {
        subject.greedy_params()
    };
    let answer = with_logprobs(subject, params)?;
    ensure!(
        answer.logprobs.len() == answer.tokens.len(),
        "{} tokens came with {} log-probabilities",
        answer.tokens.len(),
        answer.logprobs.len()
    );
    for (token, logprobs) in answer.tokens.iter().zip(&answer.logprobs) {
        ensure!(
            logprobs.chosen.token == *token,
            "the log-probability for token {token} is that of token {}",
            logprobs.chosen.token
        );
        ensure!(
            logprobs.top.len() == 4,
            "4 of the likeliest tokens were asked for, and {} came",
            logprobs.top.len()
        );
        ensure!(
            logprobs
                .top
                .is_sorted_by(|before, after| before.logprob >= after.logprob),
            "the likeliest tokens don't come likeliest first: {:?}",
            logprobs.top
        );
        let total: f32 = logprobs.top.iter().map(|top| top.logprob.exp()).sum();
        ensure!(
            logprobs.chosen.logprob <= logprobs.top[0].logprob && total <= 1.001,
            "these are no log-probabilities of one distribution: {logprobs:?}"
        );
    }
    Ok(())
}

fn greedy_tokens_are_the_likeliest_of_their_log_probabilities(subject: &mut Subject) -> CaseResult {
    let params = subject.greedy_params();
    let answer = with_logprobs(subject, params)?;
    for logprobs in &answer.logprobs {
        ensure!(
            logprobs
                .top
                .first()
                .is_some_and(|top| top.logprob <= logprobs.chosen.logprob),
            "a greedy token is less likely than another: {logprobs:?}"
        );
    }
    Ok(())
}

fn log_probabilities_change_no_answer(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    let expected = subject.greedy(&prompt)?;
    let params = subject.greedy_params();
    let answer = with_logprobs(subject, params)?;
    // A device may round otherwise when it hands its logits over.
    let agreed = answer.tokens.iter().zip(&expected.tokens);
    let agreed = agreed.take_while(|(one, other)| one == other).count();
    ensure!(
        answer.is_same_as(&expected) || agreed >= subject.settings.agreement,
        "with log-probabilities the answer is {} instead of {}",
        answer.in_words(),
        expected.in_words()
    );
    Ok(())
}

/// An object with a word and a digit.
fn constrained(mut params: GenerateParams) -> GenerateParams {
    // White space may come between all parts.
    params.max_tokens = 400;
    params.with_constraint(Constraint::JsonSchema(json!({
        "type": "object",
        "properties": {
            "word": { "enum": ["river", "sea"] },
            "digit": { "type": "integer", "minimum": 0, "maximum": 9 },
        },
        "required": ["word", "digit"],
        "additionalProperties": false,
    })))
}

fn ensure_formed(answer: &Answer) -> CaseResult {
    ensure!(
        matches!(
            answer.finish(),
            FinishReason::EndOfText(_) | FinishReason::ConstraintMet
        ),
        "an answer of a short form did not come to its end: {}",
        answer.in_words()
    );
    let value: serde_json::Value = match serde_json::from_str(&answer.text) {
        Ok(value) => value,
        Err(error) => fail!("the answer is no JSON: {error} in {}", answer.in_words()),
    };
    let word = value["word"].as_str();
    let is_formed = value.as_object().is_some_and(|object| object.len() == 2)
        && word.is_some_and(|word| ["river", "sea"].contains(&word))
        && value["digit"].as_u64().is_some_and(|digit| digit <= 9);
    ensure!(is_formed, "the answer has another form: {value}");
    Ok(())
}

fn an_answer_has_the_form_of_its_constraint(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Constraint, Field::Temperature, Field::Seed])?;
    for prompt in subject.prompts() {
        for seed in 0..4 {
            let params = constrained(subject.sampled_params(seed));
            ensure_formed(&subject.answer(prompt.as_str(), params)?)?;
        }
    }
    Ok(())
}

fn a_greedy_answer_has_the_form_of_its_constraint(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Constraint])?;
    for prompt in subject.prompts() {
        let params = constrained(subject.greedy_params());
        ensure_formed(&subject.answer(prompt.as_str(), params)?)?;
    }
    Ok(())
}

fn a_constraint_that_cannot_be_enforced_is_refused(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Constraint])?;
    let prompt = subject.prompt();
    for constraint in [
        Constraint::JsonSchema(json!({ "not": {} })),
        Constraint::Regex("(".to_owned()),
        Constraint::Lark("start: missing".to_owned()),
    ] {
        let params = subject.greedy_params().with_constraint(constraint.clone());
        let error = subject.record(prompt.as_str(), params)?.into_error()?;
        ensure!(
            matches!(error, Error::InvalidConstraint { .. }),
            "{constraint:?} gave another error: {}",
            in_words(&error)
        );
    }
    subject.ensure_usable("after refused constraints")
}

fn a_loop_ends_with_its_reason(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::LoopGuard, Field::Constraint])?;
    let prompt = subject.prompt();
    // The longest text of this form has 40 characters and no end before.
    let mut params = subject
        .greedy_params()
        .with_max_tokens(64)
        .with_constraint(Constraint::Regex("(7,){20}".to_owned()));
    params.loop_guard = Some(LoopGuard {
        longest: 4,
        repeats: 3,
        min_tokens: 0,
    });
    let answer = subject.answer(prompt, params)?;
    let FinishReason::Loop(length) = *answer.finish() else {
        fail!(
            "an answer that repeats itself ended as {}",
            answer.in_words()
        );
    };
    let length = length as usize;
    let tokens = &answer.tokens;
    let repeats = length > 0
        && tokens.len() >= 3 * length
        && (tokens.len() - 2 * length..tokens.len())
            .all(|place| tokens[place] == tokens[place - length]);
    ensure!(
        repeats,
        "a loop of {length} tokens is reported, and the tokens are {tokens:?}"
    );
    Ok(())
}
