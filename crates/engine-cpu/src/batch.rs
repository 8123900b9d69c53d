//! A batch that has been checked: every sequence is open and comes once, every run fits.

use std::borrow::Cow;

use engine_core::{Error, Field, LogitsWanted, Result, Run, TokenId};

use crate::sequences::Sequences;

/// Checks runs before anything is computed.
pub(crate) fn check(
    runs: &[Run<'_>],
    sequences: &Sequences,
    vocab: usize,
    context: usize,
) -> Result<()> {
    for (index, run) in runs.iter().enumerate() {
        let len = sequences.get(run.sequence)?.len;
        if run.tokens.is_empty() {
            return Err(invalid(
                "an empty run",
                "at least one token for each sequence",
            ));
        }
        if runs[..index]
            .iter()
            .any(|other| other.sequence == run.sequence)
        {
            return Err(invalid(
                "two runs of one sequence",
                "at most one run for each sequence",
            ));
        }
        if run.tokens.len() > context.saturating_sub(len) {
            return Err(Error::ContextOverflow {
                prompt_tokens: len.saturating_add(run.tokens.len()),
                context_length: context,
            });
        }
        ensure_in_vocabulary(run.tokens, vocab)?;
    }
    Ok(())
}

/// Checks a text that is read from its beginning.
pub(crate) fn check_text(tokens: &[TokenId], vocab: usize, context: usize) -> Result<()> {
    if tokens.is_empty() {
        return Err(invalid("a text without tokens", "at least one token"));
    }
    if tokens.len() > context {
        return Err(Error::ContextOverflow {
            prompt_tokens: tokens.len(),
            context_length: context,
        });
    }
    ensure_in_vocabulary(tokens, vocab)
}

fn ensure_in_vocabulary(tokens: &[TokenId], vocab_size: usize) -> Result<()> {
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        None => Ok(()),
        Some(token) => Err(Error::InvalidToken {
            token: *token,
            vocab_size,
        }),
    }
}

/// How many of a run's last rows have their logits wanted.
pub(crate) fn wanted_rows(run: &Run<'_>) -> usize {
    match run.logits {
        LogitsWanted::None => 0,
        LogitsWanted::Last => 1,
        _ => run.tokens.len(),
    }
}

fn invalid(value: &str, expected: &'static str) -> Error {
    Error::InvalidParameter {
        field: Field::Prompt,
        value: value.to_owned(),
        expected: Cow::Borrowed(expected),
    }
}
