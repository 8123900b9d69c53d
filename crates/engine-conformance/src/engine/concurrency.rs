//! Several generations at once.

use engine_core::Prompt;
use futures_executor::block_on;
use futures_util::future::join_all;

use super::{recording::Recording, subject::Subject};
use crate::case::{Case, CaseResult, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    generations_side_by_side_give_what_they_give_alone,
    more_generations_than_run_at_once_wait_and_are_answered,
    threads_may_share_an_engine,
];

/// Generations that run side by side, at most.
const MOST_AT_ONCE: u32 = 4;

/// Starts `count` generations with different prompts and lengths, reads them together and compares
/// each with the same one alone.
fn ensure_side_by_side(subject: &mut Subject, count: u32) -> CaseResult {
    let prompts = subject.prompts();
    let longest = subject.settings.answer_tokens;
    let mut requests = Vec::new();
    for i in 0..count {
        let prompt = &prompts[i as usize % prompts.len()];
        let params = subject
            .greedy_params()
            .with_max_tokens((longest / 2 + i).min(longest));
        requests.push((
            Prompt::Text(format!("{prompt}{}", " ".repeat(i as usize))),
            params,
        ));
    }
    let mut alone = Vec::new();
    for (prompt, params) in &requests {
        alone.push(subject.answer(prompt.clone(), params.clone())?);
    }
    let mut streams = Vec::new();
    for (prompt, params) in requests {
        streams.push(subject.start(prompt, params)?);
    }
    let together = block_on(join_all(streams.into_iter().map(Recording::of)));
    for (i, (recording, alone)) in together.into_iter().zip(alone).enumerate() {
        let answer = recording.into_answer()?;
        let agreement = subject.settings.agreement;
        let same = if agreement >= alone.tokens.len() {
            answer.is_same_as(&alone)
        } else {
            answer.tokens.starts_with(&alone.tokens[..agreement])
        };
        ensure!(
            same,
            "generation {i} of {count} gave {} beside the others and {} alone",
            answer.in_words(),
            alone.in_words()
        );
    }
    Ok(())
}

fn generations_side_by_side_give_what_they_give_alone(subject: &mut Subject) -> CaseResult {
    let at_once = subject.engine()?.capabilities().concurrent_generations;
    ensure_side_by_side(subject, at_once.clamp(2, MOST_AT_ONCE))
}

fn more_generations_than_run_at_once_wait_and_are_answered(subject: &mut Subject) -> CaseResult {
    let at_once = subject.engine()?.capabilities().concurrent_generations;
    ensure_side_by_side(subject, at_once.min(2 * MOST_AT_ONCE) + 2)
}

fn threads_may_share_an_engine(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    let expected = subject.greedy(&prompt)?;
    let engine = subject.engine()?;
    let params = subject.greedy_params();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (engine, prompt, params) = (engine.clone(), prompt.clone(), params.clone());
            std::thread::spawn(move || {
                use engine_core::{EngineExt, GenerateRequest};
                block_on(engine.complete(GenerateRequest::text(prompt).with_params(params)))
            })
        })
        .collect();
    for thread in threads {
        let agreement = subject.settings.agreement.min(expected.tokens.len());
        match thread.join() {
            Ok(Ok(completion)) => ensure!(
                completion.tokens.starts_with(&expected.tokens[..agreement]),
                "a thread got {:?} instead of {:?}",
                completion.text,
                expected.text
            ),
            Ok(Err(error)) => fail!("a thread got an error: {error}"),
            Err(_) => fail!("a thread panicked"),
        }
    }
    Ok(())
}
