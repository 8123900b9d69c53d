//! Sequences outside of their model, and what they weigh.

use engine_core::{Error, Field, SequenceId, SequenceState};

use super::subject::{Subject, ensure_kind};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    an_imported_sequence_continues_as_the_exported_one,
    neither_side_of_an_export_sees_the_other,
    an_empty_sequence_can_be_exported,
    a_state_that_does_not_fit_is_refused_and_opens_nothing,
    no_sequences_weigh_nothing_and_some_no_more_than_all,
];

/// The sequence's state; the case is skipped if the model has none.
fn export(subject: &mut Subject, sequence: SequenceId) -> CaseResult<SequenceState> {
    match subject.model.export(sequence) {
        Err(Error::Unsupported {
            field: Field::PromptCache,
            ..
        }) => Err(Stop::NotApplicable(
            "the model exports no sequence".to_owned(),
        )),
        other => other.or_fail("export a sequence"),
    }
}

fn import(subject: &mut Subject, state: &SequenceState) -> CaseResult<SequenceId> {
    subject.model.import(state).or_fail("import a sequence")
}

fn an_imported_sequence_continues_as_the_exported_one(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(9);
    for len in [1, 6] {
        let original = subject.opened_with(&tokens[..len])?;
        let state = export(subject, original)?;
        ensure!(
            state.len == len,
            "the state of a sequence of {len} tokens says {}",
            state.len
        );
        subject.close(original)?;
        let copy = import(subject, &state)?;
        ensure!(
            copy != original,
            "the number of a closed sequence came back"
        );
        subject.ensure_len(copy, len)?;
        subject.ensure_continues("on an import", copy, &tokens[len..], &tokens)?;
        subject.close(copy)?;
    }
    Ok(())
}

fn neither_side_of_an_export_sees_the_other(subject: &mut Subject) -> CaseResult {
    let (start, one, two) = (subject.tokens(5), subject.tokens(3), subject.tokens(2));
    let original = subject.opened_with(&start)?;
    let state = export(subject, original)?;
    let (first, second) = (import(subject, &state)?, import(subject, &state)?);
    let on_original = [&start[..], &one].concat();
    let on_copy = [&start[..], &two].concat();
    subject.ensure_continues("on the original", original, &one, &on_original)?;
    subject.ensure_continues("on an import", first, &two, &on_copy)?;
    subject.ensure_continues("on a second import", second, &one, &on_original)?;
    for sequence in [original, first, second] {
        subject.close(sequence)?;
    }
    Ok(())
}

fn an_empty_sequence_can_be_exported(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(3);
    let original = subject.open()?;
    let state = export(subject, original)?;
    let copy = import(subject, &state)?;
    subject.ensure_len(copy, 0)?;
    subject.ensure_continues("on an empty import", copy, &tokens, &tokens)?;
    subject.close(original)?;
    subject.close(copy)
}

fn a_state_that_does_not_fit_is_refused_and_opens_nothing(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(5);
    let original = subject.opened_with(&tokens)?;
    let state = export(subject, original)?;
    let before = subject.model.memory().sequences;
    let mut without = state.clone();
    without.tensors.pop();
    let mut longer = state.clone();
    longer.len += 1000;
    let mut endless = state.clone();
    endless.len = usize::MAX;
    let mut shorter = state.clone();
    for tensor in &mut shorter.tensors {
        tensor.data.pop();
    }
    let mut other = state;
    for tensor in &mut other.tensors {
        tensor.shape.push(1);
    }
    for (what, wrong) in [
        ("without a tensor", without),
        ("with another length", longer),
        ("with a length beyond any context", endless),
        ("with too little data", shorter),
        ("with tensors of another shape", other),
    ] {
        match subject.model.import(&wrong) {
            Ok(_) => fail!("a state {what} was imported"),
            Err(error) => ensure_kind(what, &error, |error| {
                matches!(error, Error::InvalidState { .. })
            })?,
        }
    }
    let after = subject.model.memory().sequences;
    ensure!(
        after == before,
        "{after} sequences are open after states were refused, instead of {before}"
    );
    subject.close(original)
}

fn no_sequences_weigh_nothing_and_some_no_more_than_all(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(6);
    let first = subject.opened_with(&tokens)?;
    let copy = subject.fork(first)?;
    let none = subject.model.kv_bytes_of(&[]);
    ensure!(none == 0, "no sequences weigh {none} bytes");
    let all = subject.model.memory().kv_bytes;
    for some in [&[first][..], &[copy], &[first, copy]] {
        let bytes = subject.model.kv_bytes_of(some);
        ensure!(
            bytes <= all,
            "{} of the open sequences weigh {bytes} bytes, and all of them {all}",
            some.len()
        );
    }
    subject.close(first)?;
    subject.close(copy)
}
