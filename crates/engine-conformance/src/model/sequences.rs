//! Sequences: opened, cut, copied, freed.

use std::collections::BTreeSet;

use engine_core::{Error, LogitsWanted};

use super::subject::{Subject, ensure_kind};
use crate::case::{Case, CaseResult, OrFail, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    sequence_numbers_are_never_reused,
    sequences_do_not_see_each_other,
    truncating_is_as_if_the_tokens_had_never_been_there,
    truncating_to_nothing_is_a_new_sequence,
    truncating_to_its_own_length_changes_nothing,
    a_fork_is_a_copy,
    neither_side_of_a_fork_sees_the_other,
    a_fork_outlives_its_original,
    an_empty_sequence_can_be_forked,
    memory_counts_the_open_sequences,
    closing_frees_the_sequence,
    closing_twice_is_an_error,
    trimming_changes_no_sequence,
];

fn sequence_numbers_are_never_reused(subject: &mut Subject) -> CaseResult {
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let first = subject.open()?;
        let second = subject.open()?;
        let copy = subject.fork(first)?;
        for sequence in [first, second, copy] {
            ensure!(
                seen.insert(sequence),
                "the number {} was given out twice",
                sequence.get()
            );
            subject.close(sequence)?;
        }
    }
    Ok(())
}

fn sequences_do_not_see_each_other(subject: &mut Subject) -> CaseResult {
    let (one, two) = (subject.tokens(6), subject.tokens(6));
    let first = subject.open()?;
    let second = subject.open()?;
    for i in 0..3 {
        let cut = 2 * i..2 * i + 2;
        for (sequence, tokens) in [(first, &one), (second, &two)] {
            subject.ensure_continues(
                "beside another sequence",
                sequence,
                &tokens[cut.clone()],
                &tokens[..cut.end],
            )?;
        }
    }
    subject.close(first)?;
    subject.close(second)
}

fn truncating_is_as_if_the_tokens_had_never_been_there(subject: &mut Subject) -> CaseResult {
    let (before, other) = (subject.tokens(8), subject.tokens(3));
    for len in [1, 4, 7] {
        let sequence = subject.opened_with(&before)?;
        subject.truncate(sequence, len)?;
        subject.ensure_len(sequence, len)?;
        let all = [&before[..len], &other[..]].concat();
        subject.ensure_continues(&format!("after a cut to {len}"), sequence, &other, &all)?;
        // A second cut, into what was appended behind the first.
        subject.truncate(sequence, len + 1)?;
        let all = [&before[..len], &other[..1], &before[..2]].concat();
        subject.ensure_continues("after a second cut", sequence, &before[..2], &all)?;
        subject.close(sequence)?;
    }
    Ok(())
}

fn truncating_to_nothing_is_a_new_sequence(subject: &mut Subject) -> CaseResult {
    let (before, after) = (subject.tokens(5), subject.tokens(4));
    let sequence = subject.opened_with(&before)?;
    subject.truncate(sequence, 0)?;
    subject.ensure_len(sequence, 0)?;
    subject.ensure_continues("after a cut to nothing", sequence, &after, &after)?;
    subject.close(sequence)
}

fn truncating_to_its_own_length_changes_nothing(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(6);
    let sequence = subject.opened_with(&tokens[..5])?;
    subject.truncate(sequence, 5)?;
    subject.ensure_len(sequence, 5)?;
    subject.ensure_continues("after no cut", sequence, &tokens[5..], &tokens)?;
    subject.close(sequence)
}

fn a_fork_is_a_copy(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(8);
    let original = subject.opened_with(&tokens[..5])?;
    let copy = subject.fork(original)?;
    subject.ensure_len(copy, 5)?;
    subject.ensure_continues("on the copy", copy, &tokens[5..], &tokens)?;
    subject.close(original)?;
    subject.close(copy)
}

fn neither_side_of_a_fork_sees_the_other(subject: &mut Subject) -> CaseResult {
    let (start, one, two) = (subject.tokens(5), subject.tokens(3), subject.tokens(4));
    let original = subject.opened_with(&start)?;
    let copy = subject.fork(original)?;
    let on_original = [&start[..], &one].concat();
    let on_copy = [&start[..], &two].concat();
    subject.ensure_continues("on the original", original, &one, &on_original)?;
    subject.ensure_len(copy, start.len())?;
    subject.ensure_continues("on the copy", copy, &two, &on_copy)?;
    subject.ensure_len(original, on_original.len())?;

    subject.truncate(copy, 2)?;
    subject.ensure_len(original, on_original.len())?;
    let longer = [&on_original[..], &two[..1]].concat();
    subject.ensure_continues("behind a cut copy", original, &two[..1], &longer)?;
    let shorter = [&start[..2], &one[..]].concat();
    subject.ensure_continues("on the cut copy", copy, &one, &shorter)?;
    subject.close(original)?;
    subject.close(copy)
}

fn a_fork_outlives_its_original(subject: &mut Subject) -> CaseResult {
    let (start, more) = (subject.tokens(5), subject.tokens(2));
    let original = subject.opened_with(&start)?;
    let copy = subject.fork(original)?;
    subject.close(original)?;
    // What a new sequence writes must not land in memory that the copy still reads.
    let other = subject.tokens(6);
    let third = subject.opened_with(&other)?;
    let all = [&start[..], &more].concat();
    subject.ensure_continues("behind a closed original", copy, &more, &all)?;
    subject.close(third)?;
    subject.close(copy)
}

fn an_empty_sequence_can_be_forked(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(4);
    let original = subject.open()?;
    let copy = subject.fork(original)?;
    subject.ensure_len(copy, 0)?;
    subject.ensure_continues("on an empty copy", copy, &tokens, &tokens)?;
    subject.ensure_len(original, 0)?;
    subject.close(original)?;
    subject.close(copy)
}

fn memory_counts_the_open_sequences(subject: &mut Subject) -> CaseResult {
    let before = subject.model.memory();
    ensure!(
        before.weight_bytes == subject.model.info().weight_bytes,
        "the weights take {} bytes in the report and {} in info",
        before.weight_bytes,
        subject.model.info().weight_bytes
    );
    let tokens = subject.tokens(4);
    let first = subject.opened_with(&tokens)?;
    let second = subject.fork(first)?;
    let during = subject.model.memory();
    ensure!(
        during.sequences == before.sequences + 2,
        "{} sequences are reported open after two more were opened over {}",
        during.sequences,
        before.sequences
    );
    ensure!(
        during.kv_bytes >= before.kv_bytes,
        "the caches shrank from {} to {} bytes when sequences were opened",
        before.kv_bytes,
        during.kv_bytes
    );
    subject.close(first)?;
    subject.close(second)
}

fn closing_frees_the_sequence(subject: &mut Subject) -> CaseResult {
    let before = subject.model.memory();
    let tokens = subject.tokens(8);
    for _ in 0..3 {
        let sequence = subject.opened_with(&tokens)?;
        subject.close(sequence)?;
    }
    let after = subject.model.memory();
    ensure!(
        after.sequences == before.sequences && after.kv_bytes <= before.kv_bytes,
        "{} sequences with {} bytes are left instead of {} with {}",
        after.sequences,
        after.kv_bytes,
        before.sequences,
        before.kv_bytes
    );
    Ok(())
}

fn closing_twice_is_an_error(subject: &mut Subject) -> CaseResult {
    let sequence = subject.open()?;
    subject.close(sequence)?;
    match subject.model.close(sequence) {
        Ok(()) => fail!("a closed sequence was closed again"),
        Err(error) => ensure_kind(
            "closing twice",
            &error,
            |error| matches!(error, Error::UnknownSequence { id } if *id == sequence.get()),
        ),
    }
}

fn trimming_changes_no_sequence(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(6);
    let sequence = subject.opened_with(&tokens[..4])?;
    let pooled = subject.model.memory().pooled_bytes;
    subject.model.trim().or_fail("trim")?;
    let left = subject.model.memory().pooled_bytes;
    ensure!(
        left <= pooled,
        "trimming made the kept memory grow from {pooled} to {left} bytes"
    );
    subject.append(sequence, &tokens[4..5], LogitsWanted::None)?;
    subject.model.trim().or_fail("trim again")?;
    subject.ensure_continues("after trimming", sequence, &tokens[5..], &tokens)?;
    subject.close(sequence)
}
