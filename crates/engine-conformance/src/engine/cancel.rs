//! Dropping a stream cancels its generation.

use futures_executor::block_on;
use futures_util::{FutureExt, StreamExt};

use super::{
    recording::{Recording, first_delta},
    subject::Subject,
};
use crate::case::{Case, CaseResult, OrFail, cases, ensure};

pub(super) const CASES: &[Case<Subject>] = cases![
    a_running_generation_holds_a_sequence,
    dropping_a_stream_frees_its_sequence,
    dropping_a_stream_that_was_never_read_frees_it,
    dropping_a_stream_while_it_reads_the_prompt_frees_it,
    dropping_a_waiting_generation_leaves_no_trace,
    dropping_one_generation_leaves_the_others_alone,
];

/// Streams that are started to fill an engine, at most.
const MOST_AT_ONCE: u32 = 8;

/// Fails unless what was dropped is freed. The second look finds a generation that had not even
/// begun at the first: it had come before the one that ran in between.
fn ensure_freed(subject: &mut Subject, idle: u32, after: &str) -> CaseResult {
    subject.wait_for_sequences(idle, after)?;
    subject.ensure_usable(after)?;
    subject.wait_for_sequences(idle, after)
}

fn a_running_generation_holds_a_sequence(subject: &mut Subject) -> CaseResult {
    let idle = subject.idle_sequences()?;
    let (prompt, params) = (subject.prompt(), subject.endless_params()?);
    let engine = subject.engine()?;
    let mut stream = subject.start(prompt, params)?;
    block_on(first_delta(&mut stream))?;
    let memory = block_on(engine.memory()).or_fail("ask for the memory")?;
    ensure!(
        memory.sequences == idle + 1,
        "{} sequences are reported open while one generation runs, and {idle} while none does",
        memory.sequences
    );
    Ok(())
}

fn dropping_a_stream_frees_its_sequence(subject: &mut Subject) -> CaseResult {
    let idle = subject.idle_sequences()?;
    for _ in 0..3 {
        let (prompt, params) = (subject.prompt(), subject.long_params()?);
        let mut stream = subject.start(prompt, params)?;
        block_on(first_delta(&mut stream))?;
        drop(stream);
        ensure_freed(subject, idle, "after a stream was dropped")?;
    }
    Ok(())
}

fn dropping_a_stream_that_was_never_read_frees_it(subject: &mut Subject) -> CaseResult {
    let idle = subject.idle_sequences()?;
    let at_once = subject.engine()?.capabilities().concurrent_generations;
    // More than run at once, so that a slot which is not freed shows.
    for _ in 0..at_once.min(MOST_AT_ONCE) + 2 {
        let (prompt, params) = (subject.prompt(), subject.long_params()?);
        drop(subject.start(prompt, params)?);
    }
    ensure_freed(
        subject,
        idle,
        "after streams were dropped before they were read",
    )
}

fn dropping_a_stream_while_it_reads_the_prompt_frees_it(subject: &mut Subject) -> CaseResult {
    let idle = subject.idle_sequences()?;
    let prompt = format!("{} ", subject.prompt()).repeat(6);
    let params = subject.long_params()?;
    let mut stream = subject.start(prompt.trim_end(), params)?;
    // Asked once, answered or not.
    drop(stream.next().now_or_never());
    drop(stream);
    ensure_freed(
        subject,
        idle,
        "after a stream was dropped while it read its prompt",
    )
}

fn dropping_a_waiting_generation_leaves_no_trace(subject: &mut Subject) -> CaseResult {
    let idle = subject.idle_sequences()?;
    let at_once = subject.engine()?.capabilities().concurrent_generations;
    let mut running = Vec::new();
    for _ in 0..at_once.min(MOST_AT_ONCE) {
        let (prompt, params) = (subject.prompt(), subject.long_params()?);
        let mut stream = subject.start(prompt, params)?;
        block_on(first_delta(&mut stream))?;
        running.push(stream);
    }
    let (prompt, params) = (subject.prompt(), subject.long_params()?);
    let mut waiting = subject.start(prompt, params)?;
    drop(waiting.next().now_or_never());
    drop(waiting);
    drop(running);
    ensure_freed(subject, idle, "after a waiting generation was dropped")
}

fn dropping_one_generation_leaves_the_others_alone(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    let expected = subject.greedy(&prompt)?;
    let idle = subject.idle_sequences()?;
    let (endless, params) = (subject.long_params()?, subject.greedy_params());
    let dropped = subject.start(prompt.as_str(), endless)?;
    let kept = subject.start(prompt.as_str(), params)?;
    let agreement = subject.settings.agreement.min(expected.tokens.len());
    let answer = block_on(async move {
        let mut dropped = dropped;
        first_delta(&mut dropped).await?;
        drop(dropped);
        Recording::of(kept).await.into_answer()
    })?;
    ensure!(
        answer.tokens.starts_with(&expected.tokens[..agreement]),
        "beside a dropped generation came {} instead of {}",
        answer.in_words(),
        expected.in_words()
    );
    subject.wait_for_sequences(idle, "after one generation of two was dropped")
}
