//! Several sequences in one call.

use engine_core::{LogitsWanted, Run};

use super::subject::Subject;
use crate::case::{Case, CaseResult, cases};

pub(super) const CASES: &[Case<Subject>] = cases![
    a_batch_gives_what_its_runs_give_alone,
    a_batch_gives_each_run_the_rows_it_wants,
    a_batch_may_name_its_sequences_in_any_order,
    a_batch_may_mix_prefill_and_decode,
];

fn a_batch_gives_what_its_runs_give_alone(subject: &mut Subject) -> CaseResult {
    let held: Vec<_> = [3, 1, 5].map(|count| subject.tokens(count)).into();
    let mut all = held.clone();
    let sequences = held
        .iter()
        .map(|tokens| subject.opened_with(tokens))
        .collect::<CaseResult<Vec<_>>>()?;
    for _ in 0..3 {
        let next = subject.tokens(held.len());
        let runs: Vec<_> = sequences
            .iter()
            .zip(&next)
            .map(|(sequence, token)| Run {
                sequence: *sequence,
                tokens: std::slice::from_ref(token),
                logits: LogitsWanted::Last,
            })
            .collect();
        let rows = subject.forward(&runs)?;
        for i in 0..sequences.len() {
            all[i].push(next[i]);
            subject.ensure_len(sequences[i], all[i].len())?;
            let expected = subject.scratch(&all[i])?;
            subject.ensure_same(&format!("run {i} of the batch"), &rows[i][0], &expected)?;
        }
    }
    for sequence in sequences {
        subject.close(sequence)?;
    }
    Ok(())
}

fn a_batch_gives_each_run_the_rows_it_wants(subject: &mut Subject) -> CaseResult {
    let wanted = [
        LogitsWanted::All,
        LogitsWanted::None,
        LogitsWanted::Last,
        LogitsWanted::All,
    ];
    let tokens: Vec<_> = [3, 4, 2, 1].map(|count| subject.tokens(count)).into();
    let sequences = (0..wanted.len())
        .map(|_| subject.open())
        .collect::<CaseResult<Vec<_>>>()?;
    let runs: Vec<_> = (0..wanted.len())
        .map(|i| Run {
            sequence: sequences[i],
            tokens: &tokens[i],
            logits: wanted[i],
        })
        .collect();
    let rows = subject.forward(&runs)?;
    for (i, rows) in rows.iter().enumerate() {
        for (row, expected_len) in rows.iter().zip(match wanted[i] {
            LogitsWanted::All => 1..=tokens[i].len(),
            _ => tokens[i].len()..=tokens[i].len(),
        }) {
            let expected = subject.scratch(&tokens[i][..expected_len])?;
            subject.ensure_same(
                &format!("run {i} after {expected_len} tokens"),
                row,
                &expected,
            )?;
        }
    }
    for sequence in sequences {
        subject.close(sequence)?;
    }
    Ok(())
}

fn a_batch_may_name_its_sequences_in_any_order(subject: &mut Subject) -> CaseResult {
    let held: Vec<_> = [2, 4, 3].map(|count| subject.tokens(count)).into();
    let next = subject.tokens(3);
    let sequences = held
        .iter()
        .map(|tokens| subject.opened_with(tokens))
        .collect::<CaseResult<Vec<_>>>()?;
    let order = [2, 0, 1];
    let runs = order.map(|i| Run {
        sequence: sequences[i],
        tokens: &next[i..=i],
        logits: LogitsWanted::Last,
    });
    let rows = subject.forward(&runs)?;
    for (rows, i) in rows.iter().zip(order) {
        let expected = subject.scratch(&[&held[i][..], &next[i..=i]].concat())?;
        subject.ensure_same(&format!("sequence {i} out of order"), &rows[0], &expected)?;
    }
    for sequence in sequences {
        subject.close(sequence)?;
    }
    Ok(())
}

fn a_batch_may_mix_prefill_and_decode(subject: &mut Subject) -> CaseResult {
    let (decoded, prompt) = (subject.tokens(5), subject.tokens(6));
    let decoding = subject.opened_with(&decoded[..4])?;
    let reading = subject.open()?;
    let rows = subject.forward(&[
        Run {
            sequence: reading,
            tokens: &prompt,
            logits: LogitsWanted::Last,
        },
        Run {
            sequence: decoding,
            tokens: &decoded[4..],
            logits: LogitsWanted::Last,
        },
    ])?;
    for (rows, tokens, what) in [
        (&rows[0], &prompt, "the prompt beside a decoding run"),
        (&rows[1], &decoded, "the decoding run beside a prompt"),
    ] {
        let expected = subject.scratch(tokens)?;
        subject.ensure_same(what, &rows[0], &expected)?;
    }
    subject.close(decoding)?;
    subject.close(reading)
}
