//! Temperature, seeds, truncation of the distribution, penalties: each with an effect.

use engine_core::{Field, GenerateParams};

use super::{
    answers::{differs_for_some_seed, ensure_repeats, wandering_seed},
    subject::Subject,
};
use crate::case::{Case, CaseResult, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    temperature_changes_the_answer,
    the_same_seed_gives_the_same_answer,
    different_seeds_give_different_answers,
    the_seed_is_reported_and_gives_the_answer_again,
    the_likeliest_token_alone_by_top_k_is_greedy,
    the_likeliest_token_alone_by_top_p_is_greedy,
    the_likeliest_token_alone_by_min_p_is_greedy,
    repetition_penalty_changes_the_answer,
    presence_penalty_changes_the_answer,
    frequency_penalty_changes_the_answer,
    penalty_window_changes_the_answer,
];

fn temperature_changes_the_answer(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Temperature, Field::Seed])?;
    ensure!(
        wandering_seed(subject)?.is_some(),
        "at temperature 1 every seed gives the greedy answer"
    );
    Ok(())
}

fn the_same_seed_gives_the_same_answer(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Temperature, Field::Seed])?;
    for prompt in subject.prompts() {
        for seed in [0, 7, u64::MAX] {
            let params = subject.sampled_params(seed);
            ensure_repeats(subject, &format!("seed {seed}"), prompt.as_str(), params)?;
        }
    }
    Ok(())
}

fn different_seeds_give_different_answers(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Temperature, Field::Seed])?;
    let differ = differs_for_some_seed(subject, Subject::sampled_params, |params| {
        params.seed = params.seed.map(|seed| seed + 1000);
    })?;
    ensure!(differ, "every seed gives the same answer");
    Ok(())
}

fn the_seed_is_reported_and_gives_the_answer_again(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Temperature, Field::Seed])?;
    let prompt = subject.prompt();
    let given = subject.sampled_params(11);
    let answer = subject.answer(prompt.as_str(), given)?;
    ensure!(
        answer.summary.seed == Some(11),
        "seed 11 was asked for, and {:?} is reported",
        answer.summary.seed
    );
    let mut drawn = subject.sampled_params(0);
    drawn.seed = None;
    let first = subject.answer(prompt.as_str(), drawn)?;
    let Some(seed) = first.summary.seed else {
        fail!("a random choice was made, and no seed is reported");
    };
    let params = subject.sampled_params(seed);
    let again = subject.answer(prompt.as_str(), params)?;
    ensure!(
        again.is_same_as(&first),
        "seed {seed} was reported for {}, and gives {}",
        first.in_words(),
        again.in_words()
    );
    Ok(())
}

/// A distribution cut down to its likeliest token gives the greedy answer under a seed that
/// otherwise gives another one.
fn ensure_cut_to_greedy(
    subject: &mut Subject,
    field: Field,
    cut: impl Fn(&mut GenerateParams),
) -> CaseResult {
    subject.needs(&[Field::Temperature, Field::Seed, field])?;
    let Some((prompt, seed)) = wandering_seed(subject)? else {
        fail!("at temperature 1 every seed gives the greedy answer, so {field} can show no effect");
    };
    let expected = subject.greedy(&prompt)?;
    let mut params = subject.sampled_params(seed);
    cut(&mut params);
    let answer = subject.answer(prompt.as_str(), params)?;
    ensure!(
        answer.is_same_as(&expected),
        "with only the likeliest token left by {field} came {} instead of {}",
        answer.in_words(),
        expected.in_words()
    );
    Ok(())
}

fn the_likeliest_token_alone_by_top_k_is_greedy(subject: &mut Subject) -> CaseResult {
    ensure_cut_to_greedy(subject, Field::TopK, |params| params.top_k = Some(1))
}

fn the_likeliest_token_alone_by_top_p_is_greedy(subject: &mut Subject) -> CaseResult {
    ensure_cut_to_greedy(subject, Field::TopP, |params| params.top_p = 1e-6)
}

fn the_likeliest_token_alone_by_min_p_is_greedy(subject: &mut Subject) -> CaseResult {
    ensure_cut_to_greedy(subject, Field::MinP, |params| params.min_p = 1.0)
}

/// A penalty at its strongest changes some answer. Greedy answers are tried too, for an engine
/// that does not claim a temperature.
fn ensure_changes(
    subject: &mut Subject,
    fields: &[Field],
    base: impl Fn(&mut GenerateParams),
    change: impl Fn(&mut GenerateParams),
) -> CaseResult {
    subject.needs(fields)?;
    let sampled = subject.needs(&[Field::Temperature, Field::Seed]).is_ok();
    let settings = |subject: &Subject, seed: u64| {
        let mut params = if sampled && seed > 0 {
            subject.sampled_params(seed)
        } else {
            subject.greedy_params()
        };
        base(&mut params);
        params
    };
    ensure!(
        differs_for_some_seed(subject, settings, change)?,
        "{} at its strongest changes no answer",
        fields[0]
    );
    Ok(())
}

fn repetition_penalty_changes_the_answer(subject: &mut Subject) -> CaseResult {
    ensure_changes(
        subject,
        &[Field::RepetitionPenalty],
        |_| {},
        |params| params.repetition_penalty = 10.0,
    )
}

fn presence_penalty_changes_the_answer(subject: &mut Subject) -> CaseResult {
    ensure_changes(
        subject,
        &[Field::PresencePenalty],
        |_| {},
        |params| params.presence_penalty = 2.0,
    )
}

fn frequency_penalty_changes_the_answer(subject: &mut Subject) -> CaseResult {
    ensure_changes(
        subject,
        &[Field::FrequencyPenalty],
        |_| {},
        |params| params.frequency_penalty = 2.0,
    )
}

fn penalty_window_changes_the_answer(subject: &mut Subject) -> CaseResult {
    ensure_changes(
        subject,
        &[Field::PenaltyWindow, Field::RepetitionPenalty],
        |params| params.repetition_penalty = 10.0,
        |params| params.penalty_window = Some(1),
    )
}
