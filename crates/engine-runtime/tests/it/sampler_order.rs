//! Every sampler, alone and in any order, against its definition.

use std::collections::{BTreeMap, HashSet};

use engine_core::{Dry, GenerateParams, SamplerStage, TokenId, Xtc};
use engine_runtime::{Sampler, TokenClasses};
use proptest::prelude::*;

use crate::sampling_reference::Moment;

fn sampler(moment: &Moment<'_>) -> Sampler {
    moment.params.validate().expect("sound settings");
    let classes = TokenClasses {
        protected: moment.protected.to_vec(),
        breakers: moment.breakers.clone(),
    };
    let mut sampler =
        Sampler::new("test", moment.params, moment.prompt, classes).expect("a sampler");
    for token in moment.generated {
        sampler.note(*token);
    }
    sampler
}

fn mask_of(moment: &Moment<'_>, len: usize) -> Vec<u32> {
    let mut mask = vec![0; len.div_ceil(32)];
    for token in (0..len).filter(|token| (moment.allowed)(*token as TokenId)) {
        mask[token / 32] |= 1 << (token % 32);
    }
    mask
}

fn check(moment: &Moment<'_>, logits: &[f32], masked: bool) {
    let expected = moment.distribution(logits);
    let mask = masked.then(|| mask_of(moment, logits.len()));
    let got: BTreeMap<_, _> = sampler(moment)
        .distribution(logits, mask.as_deref())
        .expect("sound logits")
        .into_iter()
        .collect();
    // A share below what 32-bit exponentials can hold may be missing.
    for (token, share) in expected.iter().filter(|(_, share)| **share > 1e-30) {
        let other = got
            .get(token)
            .unwrap_or_else(|| panic!("{token} is missing, share {share}: {:?}", moment.params));
        assert!(
            (share - other).abs() <= 2e-5 * share,
            "{token}: {other}, not {share}: {:?}",
            moment.params
        );
    }
    for token in got.keys() {
        assert!(
            expected.contains_key(token),
            "{token} should have been cut: {:?}",
            moment.params
        );
    }
}

/// Pearson's chi-square of what is chosen against what is expected.
fn check_draws(
    params: &GenerateParams,
    classes: &TokenClasses,
    logits: &[f32],
    expected: &BTreeMap<TokenId, f64>,
) {
    const DRAWS: usize = 20_000;
    let mut sampler = Sampler::new("test", params, &[], classes.clone()).expect("a sampler");
    let mut counts: BTreeMap<TokenId, usize> = BTreeMap::new();
    for _ in 0..DRAWS {
        let token = sampler.choose(logits, None).expect("a token");
        *counts.entry(token).or_default() += 1;
    }
    let (mut chi_square, mut cells) = (0.0, 0.0);
    let (mut rare_expected, mut rare_seen) = (0.0, 0);
    let mut add = |expected: f64, seen: usize| {
        chi_square += (seen as f64 - expected).powi(2) / expected;
        cells += 1.0;
    };
    for (token, share) in expected {
        let seen = counts.remove(token).unwrap_or(0);
        // Cells of fewer than 10 are joined, so that the distribution of the sum is known.
        if share * DRAWS as f64 >= 10.0 {
            add(share * DRAWS as f64, seen);
        } else {
            rare_expected += share * DRAWS as f64;
            rare_seen += seen;
        }
    }
    if rare_expected > 0.0 {
        add(rare_expected, rare_seen);
    }
    assert!(counts.is_empty(), "tokens that were cut: {counts:?}");
    // Mean cells - 1, variance twice that: five standard deviations, and the seed is fixed.
    let freedom: f64 = cells - 1.0;
    assert!(
        chi_square < freedom + 5.0 * (2.0 * freedom).sqrt() + 1.0,
        "{params:?}: chi-square {chi_square:.1} with {freedom} degrees of freedom"
    );
}

fn seeded() -> GenerateParams {
    GenerateParams::default()
        .with_temperature(1.0)
        .with_seed(11)
}

/// Logits in the shape of a language model's: a few likely tokens over a broad floor.
fn model_like(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..len)
        .map(|_| (0..4).map(|_| uniform()).sum::<f32>() * 9.0 - 18.0)
        .collect()
}

fn new_samplers() -> Vec<GenerateParams> {
    let xtc = |probability, threshold| {
        Some(Xtc {
            probability,
            threshold,
        })
    };
    let mut cases: Vec<_> = [0.05, 0.3, 0.9, 0.999]
        .into_iter()
        .flat_map(|typical_p| {
            [0.3, 1.0, 5.0].map(|temperature| GenerateParams {
                typical_p,
                temperature,
                ..seeded()
            })
        })
        .collect();
    cases.extend([0.001, 0.02, 0.1, 0.5].map(|threshold| GenerateParams {
        xtc: xtc(1.0, threshold),
        ..seeded()
    }));
    cases.extend([
        GenerateParams {
            xtc: xtc(1.0, 0.02),
            top_p: 0.8,
            temperature: 2.0,
            ..seeded()
        },
        GenerateParams {
            dry: Some(Dry::default()),
            ..seeded()
        },
        GenerateParams {
            logit_bias: [(0, 7.5), (3, -100.0), (4, 100.0)].into(),
            ..seeded()
        },
    ]);
    cases
}

#[test]
fn each_sampler_keeps_what_its_definition_keeps() {
    let breakers = HashSet::from([2]);
    let prompt = [0, 1, 4, 2, 3, 3, 0, 1, 4, 0];
    for len in [5, 64, 1000, 5003] {
        let logits = model_like(len, len as u64);
        for params in &new_samplers() {
            let mut moment = Moment::new(params, &breakers);
            moment.prompt = &prompt;
            moment.generated = &[1, 4, 0, 1];
            check(&moment, &logits, false);
        }
    }
}

#[test]
fn draws_follow_the_distribution() {
    let logits = model_like(500, 5);
    for params in &new_samplers() {
        let breakers = HashSet::new();
        let expected = Moment::new(params, &breakers).distribution(&logits);
        check_draws(params, &TokenClasses::default(), &logits, &expected);
    }
}

#[test]
fn xtc_acts_as_often_as_asked() {
    let logits = model_like(500, 3);
    let params = GenerateParams {
        xtc: Some(Xtc {
            probability: 0.3,
            threshold: 0.02,
        }),
        ..seeded()
    };
    let breakers = HashSet::new();
    let mut moment = Moment::new(&params, &breakers);
    let acting = moment.distribution(&logits);
    moment.xtc = false;
    let resting = moment.distribution(&logits);
    assert!(acting.len() < resting.len());
    let mixed = resting
        .iter()
        .map(|(token, share)| {
            let other = acting.get(token).copied().unwrap_or(0.0);
            let probability = f64::from(0.3_f32);
            (*token, probability * other + (1.0 - probability) * share)
        })
        .collect();
    check_draws(&params, &TokenClasses::default(), &logits, &mixed);
}

#[test]
fn xtc_spares_a_step_that_would_lose_a_protected_token() {
    let logits = [3.0, 2.9, 2.8, 0.0];
    let params = GenerateParams {
        xtc: Some(Xtc {
            probability: 1.0,
            threshold: 0.1,
        }),
        ..seeded()
    };
    let breakers = HashSet::new();
    let tokens_with = |protected: &[TokenId]| -> Vec<_> {
        let mut moment = Moment::new(&params, &breakers);
        moment.protected = protected;
        check(&moment, &logits, false);
        let kept = sampler(&moment).distribution(&logits, None).unwrap();
        kept.into_iter().map(|(token, _)| token).collect()
    };
    assert_eq!(tokens_with(&[]), [2, 3]);
    assert_eq!(tokens_with(&[1]), [0, 1, 2, 3]);
    // These would not have been left out.
    assert_eq!(tokens_with(&[2, 3]), [2, 3]);
}

#[test]
fn dry_penalizes_what_prolongs_a_repetition() {
    // "1 2 3 4" came before, and "1 2 3" stands at the end.
    let prompt = [1, 2, 3, 4, 9, 1, 2, 3];
    let logits = [0.0; 10];
    let penalized = |dry: Dry, breakers: &[TokenId]| -> Option<TokenId> {
        let params = GenerateParams {
            dry: Some(dry),
            ..seeded()
        };
        let breakers = breakers.iter().copied().collect();
        let mut moment = Moment::new(&params, &breakers);
        moment.prompt = &prompt;
        check(&moment, &logits, false);
        let shares = sampler(&moment).distribution(&logits, None).unwrap();
        let even = 1.0 / logits.len() as f64;
        let mut less = shares.into_iter().filter(|(_, share)| *share < even * 0.99);
        less.next().map(|(token, _)| token)
    };
    assert_eq!(penalized(Dry::default(), &[]), Some(4));
    let longer = |allowed_length| Dry {
        allowed_length,
        ..Dry::default()
    };
    assert_eq!(penalized(longer(3), &[]), Some(4));
    assert_eq!(penalized(longer(4), &[]), None);
    assert_eq!(penalized(Dry::default(), &[2]), None);
    assert_eq!(penalized(Dry::default(), &[3]), None);
    assert_eq!(penalized(Dry::default(), &[4]), None);
    let range = |range| Dry {
        range: Some(range),
        ..Dry::default()
    };
    assert_eq!(penalized(range(8), &[]), Some(4));
    assert_eq!(penalized(range(4), &[]), None);
}

#[test]
fn a_bias_can_force_and_forbid_a_token_without_randomness_too() {
    let logits = [1.0, 3.0, 2.0];
    for (bias, expected) in [((0, 100.0), 0), ((1, -100.0), 2), ((2, 0.5), 1)] {
        let params = GenerateParams {
            logit_bias: [bias].into(),
            ..GenerateParams::greedy()
        };
        let mut sampler = Sampler::new("test", &params, &[], TokenClasses::default()).unwrap();
        assert_eq!(sampler.choose(&logits, None).unwrap(), expected);
    }
}

fn any_order() -> impl Strategy<Value = Vec<SamplerStage>> {
    Just(SamplerStage::DEFAULT_ORDER.to_vec()).prop_shuffle()
}

prop_compose! {
    /// Settings in steps of powers of two, so that 32 bits are exact and ties stay ties.
    fn any_settings()(
        temperature in prop::sample::select(vec![0.25_f32, 0.5, 1.0, 2.0, 4.0]),
        top_k in prop::option::of(1_u32..40),
        top_p in prop::sample::select(vec![0.113_f32, 0.517, 0.907, 1.0, 1.0]),
        typical_p in prop::sample::select(vec![0.213_f32, 0.617, 0.957, 1.0, 1.0]),
        min_p in prop::sample::select(vec![0.0_f32, 0.0, 0.013, 0.31]),
        xtc in prop::option::of(prop::sample::select(vec![0.011_f32, 0.053, 0.217])),
        repetition_penalty in prop::sample::select(vec![1.0_f32, 2.0, 0.5]),
        presence_penalty in prop::sample::select(vec![0.0_f32, 0.5]),
        frequency_penalty in prop::sample::select(vec![0.0_f32, 0.25, -1.0]),
        penalty_window in prop::option::of(1_u32..12),
        dry in prop::option::of((1_u32..4, prop::option::of(1_u32..20))),
        bias in prop::collection::btree_map(0_u32..20, -4_i8..4, 0..4),
        sampler_order in any_order(),
    ) -> GenerateParams {
        GenerateParams {
            temperature, top_k, top_p, typical_p, min_p, repetition_penalty, presence_penalty,
            frequency_penalty, penalty_window, sampler_order,
            xtc: xtc.map(|threshold| Xtc { probability: 1.0, threshold }),
            dry: dry.map(|(allowed_length, range)| Dry {
                multiplier: 0.5, base: 2.0, allowed_length, range, ..Dry::default()
            }),
            logit_bias: bias.into_iter().map(|(token, bias)| (token, f32::from(bias))).collect(),
            ..seeded()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_settings_in_any_order_keep_what_the_definition_keeps(
        params in any_settings(),
        quarters in prop::collection::vec(-40_i8..40, 21..200),
        prompt in prop::collection::vec(0_u32..6, 0..24),
        generated in prop::collection::vec(0_u32..6, 0..24),
        breakers in prop::collection::hash_set(0_u32..6, 0..2),
        protected in prop::collection::vec(0_u32..200, 0..20),
        forbidden in prop::option::of(prop::collection::hash_set(0_u32..200, 0..190)),
    ) {
        let logits: Vec<_> = quarters.iter().map(|q| f32::from(*q) * 0.25).collect();
        // At least one token is allowed.
        let allowed = |token: TokenId| {
            token == 20 || !forbidden.as_ref().is_some_and(|forbidden| forbidden.contains(&token))
        };
        let moment = Moment {
            params: &params,
            prompt: &prompt,
            generated: &generated,
            breakers: &breakers,
            protected: &protected,
            xtc: true,
            allowed: &allowed,
        };
        check(&moment, &logits, forbidden.is_some());
    }

    #[test]
    fn a_mask_leaves_only_what_it_allows(
        len in 1_usize..400,
        allowed in prop::collection::hash_set(0_usize..400, 1..40),
        temperature in prop::sample::select(vec![0.0_f32, 1.0]),
    ) {
        let logits = model_like(len, 4);
        let best = allowed.iter().copied().filter(|token| *token < len).max_by(|a, b| {
            logits[*a].total_cmp(&logits[*b]).then(b.cmp(a))
        });
        let mut mask = vec![0_u32; 400_usize.div_ceil(32)];
        for token in &allowed {
            mask[token / 32] |= 1 << (token % 32);
        }
        let params = GenerateParams { temperature, ..seeded() };
        let mut sampler = Sampler::new("test", &params, &[], TokenClasses::default()).unwrap();
        match best {
            None => prop_assert!(sampler.choose(&logits, Some(&mask)).is_err()),
            Some(best) => for _ in 0..20 {
                let chosen = sampler.choose(&logits, Some(&mask)).unwrap() as usize;
                prop_assert!(allowed.contains(&chosen) && chosen < len);
                prop_assert!(temperature > 0.0 || chosen == best);
            }
        }
    }
}
