//! One sequence: pieces against the whole, and which rows come.

use engine_core::LogitsWanted;

use super::subject::Subject;
use crate::case::{Case, CaseResult, cases, ensure};

pub(super) const CASES: &[Case<Subject>] = cases![
    info_is_constant,
    a_new_sequence_is_empty,
    a_run_makes_its_sequence_longer,
    logits_are_finite,
    computing_again_gives_the_same,
    pieces_give_what_one_run_gives,
    single_tokens_give_what_one_run_gives,
    rows_are_as_many_as_wanted,
    all_rows_are_the_last_rows_of_the_prefixes,
    a_sequence_holds_as_many_tokens_as_the_context,
];

/// Contexts up to this size are filled; longer ones take too long.
const FILLABLE_CONTEXT: usize = 1024;

fn info_is_constant(subject: &mut Subject) -> CaseResult {
    let before = subject.model.info().clone();
    ensure!(
        !before.backend.name.trim().is_empty() && !before.device.trim().is_empty(),
        "the backend or the device has no name"
    );
    let tokens = subject.tokens(3);
    subject.scratch(&tokens)?;
    ensure!(
        *subject.model.info() == before,
        "info changed from {before:?} to {:?}",
        subject.model.info()
    );
    Ok(())
}

fn a_new_sequence_is_empty(subject: &mut Subject) -> CaseResult {
    let sequence = subject.open()?;
    subject.ensure_len(sequence, 0)?;
    subject.close(sequence)
}

fn a_run_makes_its_sequence_longer(subject: &mut Subject) -> CaseResult {
    let sequence = subject.open()?;
    let mut len = 0;
    for (count, wanted) in [
        (1, LogitsWanted::Last),
        (5, LogitsWanted::None),
        (2, LogitsWanted::All),
    ] {
        let tokens = subject.tokens(count);
        subject.append(sequence, &tokens, wanted)?;
        len += count;
        subject.ensure_len(sequence, len)?;
    }
    subject.close(sequence)
}

fn logits_are_finite(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(6);
    let sequence = subject.open()?;
    let rows = subject.append(sequence, &tokens, LogitsWanted::All)?;
    ensure!(
        rows.iter().flatten().all(|logit| logit.is_finite()),
        "a logit is not a finite number"
    );
    subject.close(sequence)
}

fn computing_again_gives_the_same(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(6);
    let first = subject.scratch(&tokens)?;
    let second = subject.scratch(&tokens)?;
    subject.ensure_same("the same run again", &second, &first)
}

fn pieces_give_what_one_run_gives(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(9);
    for piece in [2, 3, 4, 8] {
        let sequence = subject.open()?;
        let mut row = Vec::new();
        let pieces = tokens.chunks(piece);
        let last = pieces.len() - 1;
        for (i, piece) in pieces.enumerate() {
            if i < last {
                subject.append(sequence, piece, LogitsWanted::None)?;
            } else {
                row = subject.append_last(sequence, piece)?;
            }
        }
        subject.ensure_len(sequence, tokens.len())?;
        subject.close(sequence)?;
        let expected = subject.scratch(&tokens)?;
        subject.ensure_same(&format!("in pieces of {piece}"), &row, &expected)?;
    }
    Ok(())
}

fn single_tokens_give_what_one_run_gives(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(6);
    let sequence = subject.open()?;
    for len in 1..=tokens.len() {
        subject.ensure_continues(
            &format!("token by token, after {len}"),
            sequence,
            &tokens[len - 1..len],
            &tokens[..len],
        )?;
    }
    subject.close(sequence)
}

fn rows_are_as_many_as_wanted(subject: &mut Subject) -> CaseResult {
    for count in [1, 5] {
        for wanted in [LogitsWanted::None, LogitsWanted::Last, LogitsWanted::All] {
            let tokens = subject.tokens(count);
            let sequence = subject.open()?;
            // `append` compares the number of rows with the number wanted.
            subject.append(sequence, &tokens, wanted)?;
            subject.close(sequence)?;
        }
    }
    Ok(())
}

fn all_rows_are_the_last_rows_of_the_prefixes(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(7);
    // Once from the start of a sequence, once behind two tokens that are already there.
    for held in [0, 2] {
        let sequence = subject.open()?;
        if held > 0 {
            subject.append(sequence, &tokens[..held], LogitsWanted::None)?;
        }
        let rows = subject.append(sequence, &tokens[held..], LogitsWanted::All)?;
        subject.close(sequence)?;
        for (i, row) in rows.iter().enumerate() {
            let len = held + i + 1;
            let expected = subject.scratch(&tokens[..len])?;
            subject.ensure_same(&format!("row {i} behind {held}"), row, &expected)?;
        }
    }
    Ok(())
}

fn a_sequence_holds_as_many_tokens_as_the_context(subject: &mut Subject) -> CaseResult {
    let context = subject.context_length();
    if context > FILLABLE_CONTEXT {
        return Err(crate::case::Stop::NotApplicable(format!(
            "a context of {context} tokens takes too long to fill; make a model with at most \
             {FILLABLE_CONTEXT}"
        )));
    }
    let tokens = subject.tokens(context);
    let sequence = subject.open()?;
    subject.append(sequence, &tokens[..context - 1], LogitsWanted::None)?;
    subject.append_last(sequence, &tokens[context - 1..])?;
    subject.ensure_len(sequence, context)?;
    subject.close(sequence)
}
