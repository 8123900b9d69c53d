//! Ranges of the generation settings.

use engine_core::{
    Constraint, Dry, Error, Field, FieldSet, GenerateParams, LoopGuard, Mirostat, SamplerStage, Xtc,
};
use proptest::prelude::*;

fn refused(change: impl FnOnce(&mut GenerateParams)) -> Field {
    let mut params = GenerateParams::default();
    change(&mut params);
    match params.validate() {
        Err(Error::InvalidParameter {
            field, expected, ..
        }) => {
            assert!(!expected.is_empty());
            field
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn the_defaults_are_valid() {
    GenerateParams::default().validate().unwrap();
    GenerateParams::greedy().validate().unwrap();
}

#[test]
fn each_value_out_of_range_names_its_field() {
    assert_eq!(refused(|p| p.max_tokens = 0), Field::MaxTokens);
    assert_eq!(refused(|p| p.temperature = -0.1), Field::Temperature);
    assert_eq!(refused(|p| p.temperature = 10.1), Field::Temperature);
    assert_eq!(refused(|p| p.top_p = 0.0), Field::TopP);
    assert_eq!(refused(|p| p.top_p = 1.1), Field::TopP);
    assert_eq!(refused(|p| p.top_k = Some(0)), Field::TopK);
    assert_eq!(refused(|p| p.min_p = 1.1), Field::MinP);
    assert_eq!(
        refused(|p| p.repetition_penalty = 0.0),
        Field::RepetitionPenalty
    );
    assert_eq!(
        refused(|p| p.presence_penalty = 2.1),
        Field::PresencePenalty
    );
    assert_eq!(
        refused(|p| p.frequency_penalty = -2.1),
        Field::FrequencyPenalty
    );
    assert_eq!(
        refused(|p| p.penalty_window = Some(0)),
        Field::PenaltyWindow
    );
    assert_eq!(refused(|p| p.stop.push(String::new())), Field::Stop);
}

#[test]
fn nan_and_infinity_are_in_no_range() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(refused(|p| p.temperature = bad), Field::Temperature);
        assert_eq!(refused(|p| p.top_p = bad), Field::TopP);
        assert_eq!(refused(|p| p.min_p = bad), Field::MinP);
        assert_eq!(
            refused(|p| p.repetition_penalty = bad),
            Field::RepetitionPenalty
        );
        assert_eq!(
            refused(|p| p.presence_penalty = bad),
            Field::PresencePenalty
        );
        assert_eq!(
            refused(|p| p.frequency_penalty = bad),
            Field::FrequencyPenalty
        );
    }
}

#[test]
fn an_unknown_key_is_an_error_and_not_ignored() {
    let error = serde_json::from_str::<GenerateParams>(r#"{"top_q": 0.5}"#).unwrap_err();
    assert!(error.to_string().contains("top_q"), "{error}");
}

#[test]
fn resetting_every_field_asks_for_nothing_but_a_length() {
    let mut params = GenerateParams {
        max_tokens: 3,
        temperature: 1.0,
        top_p: 0.5,
        top_k: Some(3),
        min_p: 0.1,
        repetition_penalty: 1.1,
        presence_penalty: 0.1,
        frequency_penalty: 0.1,
        penalty_window: Some(8),
        seed: Some(1),
        stop: vec!["x".into()],
        stop_tokens: vec![1],
        ignore_eos: true,
        typical_p: 0.9,
        xtc: Some(Xtc::default()),
        dry: Some(Dry::default()),
        logit_bias: [(1, 2.0)].into(),
        mirostat: Some(Mirostat::default()),
        sampler_order: SamplerStage::DEFAULT_ORDER.to_vec(),
        logprobs: Some(0),
        constraint: Some(Constraint::JsonObject),
        loop_guard: Some(LoopGuard::default()),
    };
    let set: Vec<Field> = params.fields_set().iter().collect();
    assert_eq!(set.len(), 22, "{set:?}");
    for field in set {
        params.reset(field);
    }
    assert_eq!(
        params.fields_set(),
        FieldSet::NONE.with(Field::MaxTokens),
        "{params:?}"
    );
}

proptest! {
    #[test]
    fn valid_settings_survive_json(
        max_tokens in 1_u32..,
        temperature in 0.0_f32..=10.0,
        top_p in 0.001_f32..=1.0,
        top_k in proptest::option::of(1_u32..),
        min_p in 0.0_f32..=1.0,
        repetition_penalty in 0.001_f32..=10.0,
        presence_penalty in -2.0_f32..=2.0,
        seed in proptest::option::of(any::<u64>()),
        stop in proptest::collection::vec(".+", 0..3),
    ) {
        let params = GenerateParams {
            max_tokens, temperature, top_p, top_k, min_p, repetition_penalty, presence_penalty,
            seed, stop, ..GenerateParams::default()
        };
        params.validate().unwrap();
        let json = serde_json::to_string(&params).unwrap();
        prop_assert_eq!(serde_json::from_str::<GenerateParams>(&json).unwrap(), params);
    }
}
