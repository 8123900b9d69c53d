//! Long sequences: what they give up changes no number, and how far back they can be cut.

use engine_core::{Error, Field, LogitsWanted};

use super::subject::{FEW_TOKENS, Subject, ensure_kind};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    a_long_sequence_in_pieces_gives_what_one_run_gives,
    an_import_of_a_long_sequence_continues_as_the_exported_one,
    a_long_sequence_can_be_cut_as_far_as_it_says,
    a_cut_that_is_not_claimed_is_refused,
];

/// Pieces, then token by token, then a fork of it in one run again: each appends otherwise to
/// what is left of the sequence.
fn a_long_sequence_in_pieces_gives_what_one_run_gives(subject: &mut Subject) -> CaseResult {
    let tokens = subject.many_tokens();
    let (most, last) = tokens.split_at(tokens.len() - FEW_TOKENS);
    let whole = subject.open()?;
    let expected = subject.append(whole, &tokens, LogitsWanted::All)?;
    subject.close(whole)?;
    let expected = expected.get(most.len()..).unwrap_or_default();

    let sequence = subject.opened_in_pieces(most)?;
    let copy = subject.fork(sequence)?;
    for (token, expected) in last.iter().zip(expected) {
        let row = subject.append_last(sequence, &[*token])?;
        subject.ensure_same("token by token behind pieces", &row, expected)?;
    }
    subject.ensure_len(sequence, tokens.len())?;
    subject.close(sequence)?;
    let rows = subject.append(copy, last, LogitsWanted::All)?;
    for (row, expected) in rows.iter().zip(expected) {
        subject.ensure_same("on a fork behind pieces", row, expected)?;
    }
    subject.close(copy)
}

fn an_import_of_a_long_sequence_continues_as_the_exported_one(subject: &mut Subject) -> CaseResult {
    let mut tokens = subject.many_tokens();
    let original = subject.opened_in_pieces(&tokens)?;
    let state = match subject.model.export(original) {
        Err(Error::Unsupported {
            field: Field::PromptCache,
            ..
        }) => {
            return Err(Stop::NotApplicable(
                "the model exports no sequence".to_owned(),
            ));
        }
        other => other.or_fail("export a sequence")?,
    };
    let more = subject.tokens(FEW_TOKENS);
    let expected = subject.append_last(original, &more)?;
    subject.close(original)?;
    let copy = subject.model.import(&state).or_fail("import a sequence")?;
    subject.ensure_len(copy, tokens.len())?;
    tokens.extend(&more);
    let row = subject.append_last(copy, &more)?;
    subject.ensure_same("on an import", &row, &expected)?;
    subject.ensure_len(copy, tokens.len())?;
    subject.close(copy)
}

fn a_long_sequence_can_be_cut_as_far_as_it_says(subject: &mut Subject) -> CaseResult {
    let tokens = subject.many_tokens();
    let original = subject.opened_in_pieces(&tokens)?;
    let earliest = subject.earliest_cut(original)?;
    ensure!(
        earliest <= tokens.len(),
        "a sequence of {} tokens says that it can be cut to {earliest} at the least",
        tokens.len()
    );
    let other = subject.tokens(2);
    // As far as can be, and half of that; first on a fork, which leaves the original as it is.
    let earliest = earliest.max(1);
    for len in [earliest.midpoint(tokens.len()), earliest] {
        let copy = subject.fork(original)?;
        let same = subject.earliest_cut(copy)?.max(1);
        ensure!(
            same == earliest,
            "a fork can be cut to {same} tokens, and its original to {earliest}"
        );
        subject.truncate(copy, len)?;
        subject.ensure_len(copy, len)?;
        let all = [&tokens[..len], &other].concat();
        subject.ensure_continues(&format!("after a cut to {len}"), copy, &other, &all)?;
        subject.close(copy)?;
    }
    subject.truncate(original, 0)?;
    let cut = subject.earliest_cut(original)?;
    ensure!(
        cut == 0,
        "an empty sequence says that it can be cut to {cut} at the least"
    );
    subject.ensure_continues("after a cut to nothing", original, &other, &other)?;
    subject.close(original)
}

fn a_cut_that_is_not_claimed_is_refused(subject: &mut Subject) -> CaseResult {
    let mut tokens = subject.many_tokens();
    let sequence = subject.opened_in_pieces(&tokens)?;
    let earliest = subject.earliest_cut(sequence)?;
    if earliest <= 1 {
        subject.close(sequence)?;
        return Err(Stop::NotApplicable(format!(
            "a sequence of {} tokens can be cut anywhere",
            tokens.len()
        )));
    }
    ensure!(
        !subject.model.can_truncate(),
        "the model says that it can cut any sequence anywhere, and this one only to {earliest}"
    );
    for len in [1, earliest - 1] {
        match subject.model.truncate(sequence, len) {
            Ok(()) => {
                fail!("a sequence was cut to {len} tokens, and the model says that it can't be")
            }
            Err(error) => ensure_kind("cutting too far", &error, |error| {
                matches!(error, Error::CutTooFar { .. })
            })?,
        }
        subject.ensure_len(sequence, tokens.len())?;
    }
    let more = subject.tokens(1);
    tokens.extend(&more);
    subject.ensure_continues("after a refused cut", sequence, &more, &tokens)?;
    subject.close(sequence)
}
