//! Requests that fail while they run.

use engine_core::{Error, Prompt, TokenId};

use super::{recording::Recording, subject::Subject};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    a_prompt_that_fills_the_context_is_an_error,
    a_token_outside_the_vocabulary_is_an_error,
    nothing_follows_an_error,
    a_failed_generation_leaves_the_engine_usable,
    a_failed_generation_frees_its_sequence,
];

/// Contexts up to this size are overrun.
const OVERRUN_CONTEXT: usize = 1 << 22;

fn outside(subject: &mut Subject) -> CaseResult<Vec<TokenId>> {
    let engine = subject.engine()?;
    let mut tokens = engine.tokenize(&subject.prompt()).or_fail("tokenize")?;
    tokens.push(engine.info().model.vocab_size as TokenId);
    Ok(tokens)
}

fn failing(subject: &mut Subject, tokens: Vec<TokenId>) -> CaseResult<Recording> {
    let params = subject.greedy_params();
    subject.record(Prompt::Tokens(tokens), params)
}

fn a_prompt_that_fills_the_context_is_an_error(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    let context = engine.info().model.context_length;
    if context > OVERRUN_CONTEXT {
        return Err(Stop::NotApplicable(format!(
            "a prompt for a context of {context} tokens would take too much memory"
        )));
    }
    let token = engine.tokenize(&subject.prompt()).or_fail("tokenize")?[0];
    for count in [context, context + 1, context * 2] {
        match failing(subject, vec![token; count])?.into_error()? {
            Error::ContextOverflow {
                prompt_tokens,
                context_length,
            } => ensure!(
                prompt_tokens == count && context_length == context,
                "{count} tokens for a context of {context} are reported as {prompt_tokens} for \
                 {context_length}"
            ),
            error => fail!("too long a prompt gave another error: {}", in_words(&error)),
        }
    }
    Ok(())
}

fn a_token_outside_the_vocabulary_is_an_error(subject: &mut Subject) -> CaseResult {
    let tokens = outside(subject)?;
    for id in [tokens[tokens.len() - 1], TokenId::MAX] {
        let mut tokens = tokens.clone();
        tokens[0] = id;
        match failing(subject, tokens)?.into_error()? {
            Error::InvalidToken { .. } => {}
            error => fail!("token {id} gave another error: {}", in_words(&error)),
        }
    }
    Ok(())
}

fn nothing_follows_an_error(subject: &mut Subject) -> CaseResult {
    let tokens = outside(subject)?;
    let recording = failing(subject, tokens)?;
    ensure!(
        recording.error.is_some(),
        "a generation that must fail did not"
    );
    ensure!(
        recording.after_the_end.is_empty(),
        "after an error came {}",
        recording.after_the_end.join("; ")
    );
    Ok(())
}

fn a_failed_generation_leaves_the_engine_usable(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    subject.greedy(&prompt)?;
    for _ in 0..3 {
        let tokens = outside(subject)?;
        failing(subject, tokens)?.into_error()?;
        subject.ensure_usable("after a failed generation")?;
    }
    Ok(())
}

fn a_failed_generation_frees_its_sequence(subject: &mut Subject) -> CaseResult {
    let idle = subject.idle_sequences()?;
    for _ in 0..3 {
        let tokens = outside(subject)?;
        failing(subject, tokens)?.into_error()?;
    }
    subject.wait_for_sequences(idle, "after failed generations")
}
