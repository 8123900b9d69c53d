//! Random operations, each compared with a recomputation from scratch.

use engine_core::{LogitsWanted, Run, SequenceId, TokenId};

use super::subject::Subject;
use crate::case::{Case, CaseResult, cases};

pub(super) const CASES: &[Case<Subject>] = cases![random_operations_match_recomputation];

/// Sequences open at the same time.
const MOST_SEQUENCES: usize = 4;
/// Tokens of a sequence, so that the oracle stays cheap.
const LONGEST_SEQUENCE: usize = 24;

/// What the model should hold.
type Mirror = Vec<(SequenceId, Vec<TokenId>)>;

fn random_operations_match_recomputation(subject: &mut Subject) -> CaseResult {
    let mut mirror = Mirror::new();
    for number in 0..subject.settings.operations {
        operate(subject, &mut mirror).map_err(|stop| {
            stop.under(&format!(
                "operation {number} of seed {}",
                subject.settings.seed
            ))
        })?;
        for (sequence, tokens) in &mirror {
            subject.ensure_len(*sequence, tokens.len())?;
        }
    }
    for (sequence, _) in mirror {
        subject.close(sequence)?;
    }
    Ok(())
}

fn operate(subject: &mut Subject, mirror: &mut Mirror) -> CaseResult {
    if mirror.is_empty() {
        mirror.push((subject.open()?, Vec::new()));
        return Ok(());
    }
    let full = mirror.len() == MOST_SEQUENCES;
    let chosen = subject.random.within(0..=mirror.len() - 1);
    match subject.random.within(0..=9) {
        0 if !full => mirror.push((subject.open()?, Vec::new())),
        1 | 2 if !full => {
            let (original, tokens) = mirror[chosen].clone();
            mirror.push((subject.fork(original)?, tokens));
        }
        3 => {
            let (sequence, _) = mirror.swap_remove(chosen);
            subject.close(sequence)?;
        }
        4 | 5 => {
            let (sequence, tokens) = &mut mirror[chosen];
            let len = subject.random.within(0..=tokens.len());
            subject.truncate(*sequence, len)?;
            tokens.truncate(len);
        }
        _ => run_batch(subject, mirror)?,
    }
    Ok(())
}

fn run_batch(subject: &mut Subject, mirror: &mut Mirror) -> CaseResult {
    let mut batch = Vec::new();
    for (i, (_, held)) in mirror.iter().enumerate() {
        let room = LONGEST_SEQUENCE - held.len();
        // Every other sequence, on average; a full one never.
        if room == 0 || subject.random.within(0..=1) == 0 {
            continue;
        }
        let count = subject.random.within(1..=room.min(5));
        let wanted = match subject.random.within(0..=3) {
            0 => LogitsWanted::None,
            1 => LogitsWanted::All,
            _ => LogitsWanted::Last,
        };
        batch.push((i, subject.tokens(count), wanted));
    }
    if batch.is_empty() {
        return Ok(());
    }
    for i in (1..batch.len()).rev() {
        batch.swap(i, subject.random.within(0..=i));
    }
    let runs: Vec<_> = batch
        .iter()
        .map(|(i, tokens, logits)| Run {
            sequence: mirror[*i].0,
            tokens,
            logits: *logits,
        })
        .collect();
    let rows = subject.forward(&runs)?;
    for ((i, tokens, _), rows) in batch.iter().zip(rows) {
        let held = &mut mirror[*i].1;
        held.extend(tokens);
        let first = held.len() + 1 - rows.len();
        for (len, row) in (first..).zip(&rows) {
            let expected = subject.scratch(&held[..len])?;
            subject.ensure_same(&format!("after {len} tokens"), row, &expected)?;
        }
    }
    Ok(())
}
