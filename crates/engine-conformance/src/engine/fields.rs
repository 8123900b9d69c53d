//! Every field is honoured, or refused by name.

use engine_core::{
    Constraint, Dry, EngineExt, Error, Field, FieldSet, GenerateParams, GenerateRequest, LoopGuard,
    Mirostat, SamplerStage, Xtc,
};
use futures_executor::block_on;

use super::{recording::Recording, subject::Subject};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    every_claimed_field_is_accepted,
    a_field_that_is_not_claimed_is_refused_by_name,
    a_lenient_request_lists_what_it_ignores,
];

/// Sets one field to a value that asks for something.
fn set(params: &mut GenerateParams, field: Field) {
    match field {
        Field::MaxTokens => params.max_tokens = 3,
        Field::Temperature => params.temperature = 0.9,
        Field::TopP => params.top_p = 0.9,
        Field::TopK => params.top_k = Some(5),
        Field::MinP => params.min_p = 0.05,
        Field::RepetitionPenalty => params.repetition_penalty = 1.1,
        Field::PresencePenalty => params.presence_penalty = 0.5,
        Field::FrequencyPenalty => params.frequency_penalty = 0.5,
        Field::PenaltyWindow => params.penalty_window = Some(16),
        Field::Seed => params.seed = Some(5),
        Field::Stop => params.stop = vec!["\u{1}\u{2}".to_owned()],
        Field::StopTokens => params.stop_tokens = vec![0],
        Field::IgnoreEos => params.ignore_eos = true,
        Field::Dry => params.dry = Some(Dry::default()),
        Field::LogitBias => params.logit_bias = [(0, 1.0)].into(),
        Field::SamplerOrder => params.sampler_order = SamplerStage::DEFAULT_ORDER.to_vec(),
        Field::Logprobs => params.logprobs = Some(2),
        Field::Constraint => params.constraint = Some(Constraint::JsonObject),
        Field::LoopGuard => params.loop_guard = Some(LoopGuard::default()),
        Field::TypicalP => (params.temperature, params.typical_p) = (0.9, 0.9),
        Field::Xtc => (params.temperature, params.xtc) = (0.9, Some(Xtc::default())),
        Field::Mirostat => (params.temperature, params.mirostat) = (0.9, Some(Mirostat::default())),
        _ => {}
    }
}

/// Whether a field is set together with a temperature.
fn needs_temperature(field: Field) -> bool {
    matches!(field, Field::TypicalP | Field::Xtc | Field::Mirostat)
}

/// The fields of [`GenerateParams`].
fn settings() -> impl Iterator<Item = Field> {
    let prompts = FieldSet::NONE.with(Field::Prompt).with(Field::Messages);
    FieldSet::GENERATION
        .iter()
        .filter(move |field| !prompts.contains(*field))
}

fn not_claimed(subject: &mut Subject) -> CaseResult<Vec<Field>> {
    let supported = subject.engine()?.capabilities().fields;
    let missing: Vec<_> = settings()
        .filter(|field| !supported.contains(*field))
        // Of a field that needs another, the other one is what is refused.
        .filter(|field| !needs_temperature(*field) || supported.contains(Field::Temperature))
        .collect();
    if missing.is_empty() {
        return Err(Stop::NotApplicable(
            "the engine claims every field".to_owned(),
        ));
    }
    Ok(missing)
}

fn every_claimed_field_is_accepted(subject: &mut Subject) -> CaseResult {
    let supported = subject.engine()?.capabilities().fields;
    let prompt = subject.prompt();
    for field in settings().filter(|field| supported.contains(*field)) {
        let mut params = subject.greedy_params().with_max_tokens(4);
        set(&mut params, field);
        let answer = subject
            .answer(prompt.as_str(), params)
            .map_err(|stop| stop.under(&format!("with {field} set")))?;
        ensure!(
            answer.summary.ignored.is_empty(),
            "{field} is claimed, and {:?} is listed as ignored",
            answer.summary.ignored
        );
    }
    Ok(())
}

fn a_field_that_is_not_claimed_is_refused_by_name(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    for field in not_claimed(subject)? {
        let mut params = subject.greedy_params();
        set(&mut params, field);
        let request = GenerateRequest::text(subject.prompt()).with_params(params);
        match engine.stream(request) {
            Ok(_) => fail!("{field} is not claimed, and was accepted"),
            Err(Error::Unsupported {
                field: refused,
                backend,
            }) => ensure!(
                refused == field && backend == engine.info().model.backend.name,
                "{field} is not claimed, and the {backend} backend refused {refused}"
            ),
            Err(error) => fail!("{field} gave another error: {}", in_words(&error)),
        }
    }
    Ok(())
}

fn a_lenient_request_lists_what_it_ignores(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    let prompt = subject.prompt();
    let expected = subject.greedy(&prompt)?;
    for field in not_claimed(subject)? {
        let mut params = subject.greedy_params();
        set(&mut params, field);
        let request = GenerateRequest::text(prompt.as_str())
            .with_params(params)
            .lenient();
        let stream = engine.stream(request).or_fail("start a lenient request")?;
        let answer = block_on(Recording::of(stream)).into_answer()?;
        ensure!(
            answer.summary.ignored == [field],
            "{field} was ignored, and {:?} is listed",
            answer.summary.ignored
        );
        ensure!(
            field == Field::MaxTokens || needs_temperature(field) || answer.is_same_as(&expected),
            "{field} was ignored, and changed the answer to {}",
            answer.in_words()
        );
    }
    Ok(())
}
