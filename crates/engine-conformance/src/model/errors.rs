//! What a model refuses, and that a refusal leaves no trace.

use engine_core::{Error, LogitsWanted, Run, SequenceId, TokenId};

use super::subject::{Subject, ensure_kind};
use crate::case::{Case, CaseResult, Stop, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    an_unknown_sequence_is_an_error,
    a_closed_sequence_is_an_error,
    an_empty_run_is_an_error,
    a_sequence_twice_in_a_batch_is_an_error,
    a_token_outside_the_vocabulary_is_an_error,
    a_run_beyond_the_context_is_an_error,
    truncating_beyond_the_length_is_an_error,
    a_failed_batch_leaves_every_length_as_it_was,
];

/// Contexts up to this size are overrun; for longer ones the run would be a waste of memory.
const OVERRUN_CONTEXT: usize = 1 << 22;

fn run(sequence: SequenceId, tokens: &[TokenId]) -> Run<'_> {
    Run {
        sequence,
        tokens,
        logits: LogitsWanted::Last,
    }
}

/// A number that the model has not given out: far above those that it has.
fn stranger(subject: &mut Subject) -> CaseResult<SequenceId> {
    let sequence = subject.open()?;
    subject.close(sequence)?;
    Ok(SequenceId::new(sequence.get().wrapping_add(1 << 40)))
}

fn is_unknown(sequence: SequenceId) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::UnknownSequence { id } if *id == sequence.get())
}

/// Every method that takes a sequence refuses this one.
fn ensure_unknown(subject: &mut Subject, sequence: SequenceId) -> CaseResult {
    let tokens = subject.tokens(2);
    subject.ensure_refused(
        "running an unknown sequence",
        &[run(sequence, &tokens)],
        is_unknown(sequence),
    )?;
    let others = [
        (
            "asking for its length",
            subject.model.sequence_len(sequence).map(drop),
        ),
        (
            "asking how far it can be cut",
            subject.model.earliest_cut(sequence).map(drop),
        ),
        ("truncating it", subject.model.truncate(sequence, 0)),
        ("forking it", subject.model.fork(sequence).map(drop)),
        ("closing it", subject.model.close(sequence)),
    ];
    for (what, result) in others {
        match result {
            Ok(()) => fail!("{what} was accepted for an unknown sequence"),
            Err(error) => ensure_kind(what, &error, is_unknown(sequence))?,
        }
    }
    Ok(())
}

fn an_unknown_sequence_is_an_error(subject: &mut Subject) -> CaseResult {
    let sequence = stranger(subject)?;
    ensure_unknown(subject, sequence)
}

fn a_closed_sequence_is_an_error(subject: &mut Subject) -> CaseResult {
    let tokens = subject.tokens(3);
    let sequence = subject.opened_with(&tokens)?;
    subject.close(sequence)?;
    ensure_unknown(subject, sequence)
}

/// A sequence refuses something, and goes on as if nothing had been asked.
fn ensure_refused_without_trace(
    subject: &mut Subject,
    what: &str,
    refused: impl Fn(&mut Subject, SequenceId) -> CaseResult,
) -> CaseResult {
    let tokens = subject.tokens(6);
    let sequence = subject.opened_with(&tokens[..4])?;
    refused(subject, sequence)?;
    subject.ensure_len(sequence, 4)?;
    subject.ensure_continues(
        &format!("after {what} was refused"),
        sequence,
        &tokens[4..],
        &tokens,
    )?;
    subject.close(sequence)
}

fn an_empty_run_is_an_error(subject: &mut Subject) -> CaseResult {
    ensure_refused_without_trace(subject, "an empty run", |subject, sequence| {
        subject.ensure_refused("an empty run", &[run(sequence, &[])], |error| {
            matches!(error, Error::InvalidParameter { .. })
        })
    })
}

fn a_sequence_twice_in_a_batch_is_an_error(subject: &mut Subject) -> CaseResult {
    ensure_refused_without_trace(subject, "a doubled sequence", |subject, sequence| {
        let tokens = subject.tokens(2);
        let runs = [run(sequence, &tokens[..1]), run(sequence, &tokens[1..])];
        subject.ensure_refused("a sequence twice in a batch", &runs, |error| {
            matches!(error, Error::InvalidParameter { .. })
        })
    })
}

fn a_token_outside_the_vocabulary_is_an_error(subject: &mut Subject) -> CaseResult {
    for outside in [subject.vocab_size() as TokenId, TokenId::MAX] {
        ensure_refused_without_trace(subject, "an unknown token", |subject, sequence| {
            let mut tokens = subject.tokens(3);
            tokens[1] = outside;
            subject.ensure_refused(
                "a token outside the vocabulary",
                &[run(sequence, &tokens)],
                |error| matches!(error, Error::InvalidToken { token, .. } if *token == outside),
            )
        })?;
    }
    Ok(())
}

fn a_run_beyond_the_context_is_an_error(subject: &mut Subject) -> CaseResult {
    let context = subject.context_length();
    if context > OVERRUN_CONTEXT {
        return Err(Stop::NotApplicable(format!(
            "a run beyond a context of {context} tokens would take too much memory"
        )));
    }
    let token = subject.tokens(1)[0];
    ensure_refused_without_trace(subject, "too long a run", |subject, sequence| {
        // Four tokens are there: one too many, and as many as the whole context.
        for count in [context - 3, context] {
            subject.ensure_refused(
                "a run beyond the context",
                &[run(sequence, &vec![token; count])],
                |error| matches!(error, Error::ContextOverflow { .. }),
            )?;
        }
        Ok(())
    })
}

fn truncating_beyond_the_length_is_an_error(subject: &mut Subject) -> CaseResult {
    ensure_refused_without_trace(subject, "too long a cut", |subject, sequence| {
        for len in [5, usize::MAX] {
            match subject.model.truncate(sequence, len) {
                Ok(()) => fail!("4 tokens were cut to {len}"),
                Err(error) => ensure_kind("a cut beyond the end", &error, |error| {
                    matches!(error, Error::InvalidParameter { .. })
                })?,
            }
        }
        Ok(())
    })
}

fn a_failed_batch_leaves_every_length_as_it_was(subject: &mut Subject) -> CaseResult {
    let unknown = stranger(subject)?;
    let (one, two) = (subject.tokens(5), subject.tokens(5));
    let first = subject.opened_with(&one[..3])?;
    let second = subject.opened_with(&two[..2])?;
    let outside = [subject.vocab_size() as TokenId];
    // The good runs stand before and behind the bad one, so that the order does not matter.
    let bad_runs = [
        run(unknown, &one[..1]),
        run(second, &outside),
        run(second, &[]),
    ];
    for bad in bad_runs {
        for front in [true, false] {
            let good = run(first, &one[3..]);
            let runs = if front { [good, bad] } else { [bad, good] };
            let result = subject.ensure_refused("a batch with a bad run", &runs, |_| true);
            result?;
            subject.ensure_len(first, 3)?;
            subject.ensure_len(second, 2)?;
        }
    }
    subject.ensure_continues("the good run", first, &one[3..], &one)?;
    subject.ensure_continues("the bad run", second, &two[2..], &two)?;
    let open = subject.model.memory().sequences;
    subject.close(first)?;
    subject.close(second)?;
    let left = subject.model.memory().sequences;
    ensure!(
        open == left + 2,
        "{open} sequences were open, and {left} are after two were closed"
    );
    Ok(())
}
