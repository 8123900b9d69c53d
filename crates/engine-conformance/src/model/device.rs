//! Tokens chosen on the device.

use engine_core::{DeviceInput, DeviceRun, DeviceToken, Error, SequenceId, TokenId};

use super::subject::{Subject, ensure_kind};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail};

pub(super) const CASES: &[Case<Subject>] = cases![
    without_device_choice_a_device_step_is_an_error,
    the_device_chooses_the_likeliest_token,
    a_chosen_token_can_be_the_next_input_unread,
    a_device_batch_gives_what_its_runs_give_alone,
    host_and_device_steps_share_a_sequence,
    a_discarded_token_leaves_the_sequence_usable,
    a_refused_device_step_leaves_every_length_as_it_was,
];

fn needs_device_choice(subject: &Subject) -> CaseResult {
    if subject.model.chooses_on_device() {
        return Ok(());
    }
    Err(Stop::NotApplicable(
        "the model chooses on the host".to_owned(),
    ))
}

fn known(sequence: SequenceId, tokens: &[TokenId]) -> DeviceRun<'_> {
    DeviceRun {
        sequence,
        input: DeviceInput::Tokens(tokens),
    }
}

fn chosen(sequence: SequenceId, token: DeviceToken) -> DeviceRun<'static> {
    DeviceRun {
        sequence,
        input: DeviceInput::Chosen(token),
    }
}

fn step(subject: &mut Subject, runs: &[DeviceRun<'_>]) -> CaseResult<Vec<DeviceToken>> {
    let tokens = subject
        .model
        .step_greedy(runs)
        .or_fail("start a step on the device")?;
    ensure!(
        tokens.len() == runs.len(),
        "a step of {} runs chose {} tokens",
        runs.len(),
        tokens.len()
    );
    Ok(tokens)
}

fn read(subject: &mut Subject, token: DeviceToken) -> CaseResult<TokenId> {
    subject
        .model
        .read_token(token)
        .or_fail("read a token chosen on the device")
}

/// Fails unless `token` is the likeliest after `all`, within the tolerance.
fn ensure_likeliest(subject: &mut Subject, all: &[TokenId], token: TokenId) -> CaseResult {
    let row = subject.scratch(all)?;
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let Some(logit) = row.get(token as usize).copied() else {
        fail!("the device chose token {token}, which is not in the vocabulary");
    };
    subject.ensure_same(
        &format!("after {} tokens the device chose token {token}", all.len()),
        &[logit],
        &[most],
    )
}

fn without_device_choice_a_device_step_is_an_error(subject: &mut Subject) -> CaseResult {
    if subject.model.chooses_on_device() {
        return Err(Stop::NotApplicable(
            "the model chooses on the device".to_owned(),
        ));
    }
    let tokens = subject.tokens(1);
    let sequence = subject.open()?;
    ensure!(
        subject
            .model
            .step_greedy(&[known(sequence, &tokens)])
            .is_err(),
        "a step on the device was accepted"
    );
    ensure!(
        subject.model.read_token(DeviceToken::new(0)).is_err(),
        "a token was read that no step chose"
    );
    subject.model.discard_token(DeviceToken::new(0));
    subject.ensure_len(sequence, 0)?;
    subject.close(sequence)
}

fn the_device_chooses_the_likeliest_token(subject: &mut Subject) -> CaseResult {
    needs_device_choice(subject)?;
    let tokens = subject.tokens(5);
    let sequence = subject.open()?;
    for cut in [0..4, 4..5] {
        let token = step(subject, &[known(sequence, &tokens[cut.clone()])])?[0];
        let token = read(subject, token)?;
        subject.ensure_len(sequence, cut.end)?;
        ensure_likeliest(subject, &tokens[..cut.end], token)?;
    }
    subject.close(sequence)
}

fn a_chosen_token_can_be_the_next_input_unread(subject: &mut Subject) -> CaseResult {
    needs_device_choice(subject)?;
    let mut all = subject.tokens(4);
    let sequence = subject.open()?;
    // As a generation does: the next step starts before the last one's token is read.
    let mut waiting = step(subject, &[known(sequence, &all)])?[0];
    for _ in 0..4 {
        let next = step(subject, &[chosen(sequence, waiting)])?[0];
        let token = read(subject, waiting)?;
        ensure_likeliest(subject, &all, token)?;
        all.push(token);
        subject.ensure_len(sequence, all.len())?;
        waiting = next;
    }
    let token = read(subject, waiting)?;
    ensure_likeliest(subject, &all, token)?;
    subject.close(sequence)
}

fn a_device_batch_gives_what_its_runs_give_alone(subject: &mut Subject) -> CaseResult {
    needs_device_choice(subject)?;
    let mut all: Vec<_> = [5, 1, 3].map(|count| subject.tokens(count)).into();
    let sequences = (0..all.len())
        .map(|_| subject.open())
        .collect::<CaseResult<Vec<_>>>()?;
    let runs: Vec<_> = (0..all.len())
        .map(|i| known(sequences[i], &all[i]))
        .collect();
    let first = step(subject, &runs)?;
    // Two go on with what was chosen, one with a token that the host knows; in another order.
    let given = subject.tokens(1);
    let second = step(
        subject,
        &[
            chosen(sequences[2], first[2]),
            known(sequences[1], &given),
            chosen(sequences[0], first[0]),
        ],
    )?;
    for i in 0..all.len() {
        let token = read(subject, first[i])?;
        ensure_likeliest(subject, &all[i], token)?;
        all[i].push(if i == 1 { given[0] } else { token });
    }
    for (token, i) in second.into_iter().zip([2, 1, 0]) {
        let token = read(subject, token)?;
        ensure_likeliest(subject, &all[i], token)?;
        subject.ensure_len(sequences[i], all[i].len())?;
        subject.close(sequences[i])?;
    }
    Ok(())
}

fn host_and_device_steps_share_a_sequence(subject: &mut Subject) -> CaseResult {
    needs_device_choice(subject)?;
    let mut all = subject.tokens(3);
    let more = subject.tokens(2);
    let sequence = subject.opened_with(&all[..2])?;
    let token = step(subject, &[known(sequence, &all[2..])])?[0];
    let next = step(subject, &[chosen(sequence, token)])?[0];
    let token = read(subject, token)?;
    subject.model.discard_token(next);
    all.push(token);
    all.extend(&more);
    subject.ensure_continues("behind a step on the device", sequence, &more, &all)?;
    subject.close(sequence)
}

fn a_discarded_token_leaves_the_sequence_usable(subject: &mut Subject) -> CaseResult {
    needs_device_choice(subject)?;
    let tokens = subject.tokens(6);
    let sequence = subject.open()?;
    let token = step(subject, &[known(sequence, &tokens[..3])])?[0];
    let unread = step(subject, &[chosen(sequence, token)])?[0];
    subject.model.discard_token(unread);
    subject.model.discard_token(token);
    subject.truncate(sequence, 3)?;
    subject.ensure_continues("after a discard", sequence, &tokens[3..], &tokens)?;
    subject.close(sequence)
}

/// Tells the error that the contract names from others.
type Accepts = fn(&Error) -> bool;

fn a_refused_device_step_leaves_every_length_as_it_was(subject: &mut Subject) -> CaseResult {
    needs_device_choice(subject)?;
    let tokens = subject.tokens(4);
    let sequence = subject.opened_with(&tokens[..2])?;
    let gone = subject.open()?;
    subject.close(gone)?;
    let outside = [subject.vocab_size() as TokenId];
    let unknown: Accepts = |error| matches!(error, Error::UnknownSequence { .. });
    let invalid: Accepts = |error| matches!(error, Error::InvalidParameter { .. });
    let token: Accepts = |error| matches!(error, Error::InvalidToken { .. });
    let good = known(sequence, &tokens[2..]);
    let refused: [(&str, &[DeviceRun<'_>], Accepts); 4] = [
        ("a closed sequence", &[good, known(gone, &tokens)], unknown),
        ("a sequence twice", &[good, good], invalid),
        ("an empty run", &[known(sequence, &[])], invalid),
        ("an unknown token", &[known(sequence, &outside)], token),
    ];
    for (what, runs, accepts) in refused {
        match subject.model.step_greedy(runs) {
            Ok(_) => fail!("a step on the device accepted {what}"),
            Err(error) => ensure_kind(what, &error, accepts)?,
        }
        subject.ensure_len(sequence, 2)?;
    }
    subject.ensure_continues("after refusals", sequence, &tokens[2..], &tokens)?;
    subject.close(sequence)
}
