//! Ranges of the samplers' own settings, and settings that contradict each other.

use engine_core::{
    Constraint, Dry, Error, Field, GenerateParams, LoopGuard, Mirostat, SamplerStage, Xtc,
};
use serde_json::json;

/// The field named in the refusal of these settings.
fn refused(change: impl FnOnce(&mut GenerateParams)) -> Field {
    let mut params = GenerateParams::default();
    change(&mut params);
    match params.validate() {
        Err(error @ Error::InvalidParameter { .. }) => {
            assert!(!error.suggestion().is_empty());
            let Error::InvalidParameter { field, .. } = error else {
                unreachable!()
            };
            field
        }
        other => panic!("expected a refusal of {params:?}, got {other:?}"),
    }
}

fn accepted(change: impl FnOnce(&mut GenerateParams)) {
    let mut params = GenerateParams::default();
    change(&mut params);
    params.validate().unwrap();
    let json = serde_json::to_string(&params).unwrap();
    assert_eq!(
        serde_json::from_str::<GenerateParams>(&json).unwrap(),
        params
    );
}

#[test]
fn each_value_out_of_range_names_its_field() {
    for bad in [0.0, -0.1, 1.1, f32::NAN] {
        assert_eq!(refused(|p| p.typical_p = bad), Field::TypicalP);
        let xtc = |probability, threshold| {
            Some(Xtc {
                probability,
                threshold,
            })
        };
        assert_eq!(refused(|p| p.xtc = xtc(bad, 0.1)), Field::Xtc);
        assert_eq!(refused(|p| p.xtc = xtc(0.5, bad)), Field::Xtc);
        let mirostat = |tau, eta| Some(Mirostat { tau, eta });
        assert_eq!(
            refused(|p| p.mirostat = mirostat(5.0, bad)),
            Field::Mirostat
        );
    }
    for tau in [0.0, 20.1, f32::INFINITY] {
        let mirostat = Some(Mirostat { tau, eta: 0.1 });
        assert_eq!(refused(|p| p.mirostat = mirostat), Field::Mirostat);
    }
    let dry = |change: &dyn Fn(&mut Dry)| {
        let mut dry = Dry::default();
        change(&mut dry);
        refused(|p| p.dry = Some(dry))
    };
    assert_eq!(dry(&|dry| dry.multiplier = 0.0), Field::Dry);
    assert_eq!(dry(&|dry| dry.base = 0.9), Field::Dry);
    assert_eq!(dry(&|dry| dry.allowed_length = 0), Field::Dry);
    assert_eq!(dry(&|dry| dry.allowed_length = 51), Field::Dry);
    assert_eq!(dry(&|dry| dry.range = Some(0)), Field::Dry);
    assert_eq!(
        dry(&|dry| dry.sequence_breakers.push(String::new())),
        Field::Dry
    );
    for bias in [100.1, -100.1, f32::NAN, f32::NEG_INFINITY] {
        assert_eq!(
            refused(|p| p.logit_bias = [(0, 1.0), (5, bias)].into()),
            Field::LogitBias
        );
    }
    assert_eq!(refused(|p| p.logprobs = Some(101)), Field::Logprobs);
    let guard = |longest, repeats| {
        Some(LoopGuard {
            longest,
            repeats,
            min_tokens: 0,
        })
    };
    assert_eq!(refused(|p| p.loop_guard = guard(0, 2)), Field::LoopGuard);
    assert_eq!(refused(|p| p.loop_guard = guard(1025, 2)), Field::LoopGuard);
    assert_eq!(refused(|p| p.loop_guard = guard(8, 1)), Field::LoopGuard);
}

#[test]
fn settings_in_range_are_accepted_and_survive_json() {
    accepted(|p| p.typical_p = 0.2);
    accepted(|p| p.xtc = Some(Xtc::default()));
    accepted(|p| p.dry = Some(Dry::default()));
    accepted(|p| p.mirostat = Some(Mirostat::default()));
    accepted(|p| p.logit_bias = [(0, -100.0), (70_000, 100.0)].into());
    accepted(|p| p.sampler_order = SamplerStage::DEFAULT_ORDER.to_vec());
    accepted(|p| p.sampler_order = vec![SamplerStage::Temperature]);
    accepted(|p| p.logprobs = Some(100));
    accepted(|p| p.loop_guard = Some(LoopGuard::default()));
    for constraint in [
        Constraint::JsonObject,
        Constraint::JsonSchema(json!({ "type": "integer" })),
        Constraint::Regex("a+".into()),
        Constraint::Lark("start: \"a\"".into()),
    ] {
        accepted(|p| p.constraint = Some(constraint));
    }
}

#[test]
fn json_names_each_part_and_refuses_others() {
    let params: GenerateParams = serde_json::from_value(json!({
        "xtc": { "probability": 0.25 },
        "dry": { "multiplier": 2.0, "range": 64 },
        "mirostat": {},
        "logit_bias": { "17": -5.0 },
        "sampler_order": ["top_k", "temperature"],
        "constraint": { "json_schema": { "type": "null" } },
        "loop_guard": { "repeats": 3 },
    }))
    .unwrap();
    assert_eq!(params.xtc.unwrap().threshold, 0.1);
    assert_eq!(params.dry.unwrap().base, 1.75);
    assert_eq!(params.logit_bias[&17], -5.0);
    assert_eq!(
        params.sampler_order,
        [SamplerStage::TopK, SamplerStage::Temperature]
    );
    for unknown in [
        json!({ "xtc": { "chance": 1 } }),
        json!({ "dry": { "length": 1 } }),
        json!({ "mirostat": { "mu": 1 } }),
        json!({ "loop_guard": { "n": 1 } }),
        json!({ "sampler_order": ["top_q"] }),
        json!({ "constraint": { "xml": "a" } }),
        json!({ "logit_bias": { "word": 1.0 } }),
    ] {
        assert!(
            serde_json::from_value::<GenerateParams>(unknown.clone()).is_err(),
            "{unknown}"
        );
    }
}

#[test]
fn an_order_names_each_sampler_once_and_leaves_out_none_in_use() {
    use SamplerStage::{MinP, Temperature, TopK};
    assert_eq!(
        refused(|p| p.sampler_order = vec![Temperature, TopK, Temperature]),
        Field::SamplerOrder
    );
    assert_eq!(
        refused(|p| {
            p.sampler_order = vec![Temperature, TopK];
            p.min_p = 0.1;
        }),
        Field::SamplerOrder
    );
    accepted(|p| {
        p.sampler_order = vec![MinP, Temperature];
        p.min_p = 0.1;
    });
    for stage in SamplerStage::DEFAULT_ORDER {
        assert_eq!(SamplerStage::from_name(stage.name()), Some(*stage));
        assert_eq!(json!(stage), stage.name());
    }
}

#[test]
fn mirostat_and_filters_contradict_each_other() {
    let filters: [&dyn Fn(&mut GenerateParams); 5] = [
        &|p| p.top_k = Some(5),
        &|p| p.top_p = 0.9,
        &|p| p.min_p = 0.1,
        &|p| p.typical_p = 0.9,
        &|p| p.xtc = Some(Xtc::default()),
    ];
    for filter in filters {
        let field = refused(|p| {
            p.mirostat = Some(Mirostat::default());
            filter(p);
        });
        assert_eq!(field, Field::Mirostat);
    }
    accepted(|p| {
        p.mirostat = Some(Mirostat::default());
        p.repetition_penalty = 1.1;
        p.dry = Some(Dry::default());
    });
}

#[test]
fn at_temperature_0_nothing_is_set_that_could_have_no_effect() {
    let greedy = |change: &dyn Fn(&mut GenerateParams)| {
        refused(|p| {
            p.temperature = 0.0;
            change(p);
        })
    };
    assert_eq!(greedy(&|p| p.typical_p = 0.9), Field::TypicalP);
    assert_eq!(greedy(&|p| p.xtc = Some(Xtc::default())), Field::Xtc);
    assert_eq!(
        greedy(&|p| p.mirostat = Some(Mirostat::default())),
        Field::Mirostat
    );
    let late = vec![SamplerStage::Temperature, SamplerStage::Dry];
    assert_eq!(
        greedy(&|p| {
            p.sampler_order.clone_from(&late);
            p.dry = Some(Dry::default());
        }),
        Field::SamplerOrder
    );
    accepted(|p| {
        p.temperature = 0.0;
        p.sampler_order.clone_from(&late);
    });
}

#[test]
fn an_answer_with_a_form_has_an_end() {
    assert_eq!(
        refused(|p| {
            p.constraint = Some(Constraint::JsonObject);
            p.ignore_eos = true;
        }),
        Field::IgnoreEos
    );
}

#[test]
fn only_settings_that_need_no_logits_are_plain_greedy() {
    let plain = |change: &dyn Fn(&mut GenerateParams)| {
        let mut params = GenerateParams::greedy();
        change(&mut params);
        params.is_plain_greedy()
    };
    assert!(plain(&|_| {}));
    assert!(plain(&|p| p.loop_guard = Some(LoopGuard::default())));
    assert!(!plain(&|p| p.temperature = 0.1));
    assert!(!plain(&|p| p.presence_penalty = 0.1));
    assert!(!plain(&|p| p.dry = Some(Dry::default())));
    assert!(!plain(&|p| p.logit_bias = [(0, 1.0)].into()));
    assert!(!plain(&|p| p.logprobs = Some(0)));
    assert!(!plain(&|p| p.constraint = Some(Constraint::JsonObject)));
}
