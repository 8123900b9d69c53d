//! Samplers against the definition in `GenerateParams`, written out again without shortcuts.

use std::collections::BTreeMap;

use engine_core::{Error, GenerateParams, TokenId};
use engine_runtime::{Sampler, TokenClasses};
use proptest::prelude::*;

fn sampler(params: &GenerateParams, prompt: &[TokenId]) -> Sampler {
    params.validate().expect("the test's settings are in range");
    Sampler::new("test", params, prompt, TokenClasses::default()).expect("a sampler")
}

fn seeded(seed: u64) -> GenerateParams {
    GenerateParams::default()
        .with_temperature(1.0)
        .with_seed(seed)
}

/// The definition: penalties, softmax at the temperature, and each filter over what the one before
/// it left, with everything sorted and summed in 64 bits.
fn reference(
    params: &GenerateParams,
    prompt: &[TokenId],
    generated: &[TokenId],
    logits: &[f32],
) -> BTreeMap<TokenId, f64> {
    let window = params.penalty_window.map_or(usize::MAX, |w| w as usize);
    let everything: Vec<_> = prompt.iter().chain(generated).copied().collect();
    let recent = &everything[everything.len().saturating_sub(window)..];
    let recent_answer = &generated[generated.len().saturating_sub(window)..];
    let mut scored: Vec<(TokenId, f64)> = logits
        .iter()
        .enumerate()
        .map(|(token, logit)| {
            let token = token as TokenId;
            let mut logit = f64::from(*logit);
            if recent.contains(&token) {
                let penalty = f64::from(params.repetition_penalty);
                logit = if logit > 0.0 {
                    logit / penalty
                } else {
                    logit * penalty
                };
            }
            let count = recent_answer.iter().filter(|t| **t == token).count();
            if count > 0 {
                logit -= f64::from(params.presence_penalty);
                logit -= f64::from(params.frequency_penalty) * count as f64;
            }
            (token, logit / f64::from(params.temperature))
        })
        .collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let top = scored[0].1;
    let mut kept: Vec<(TokenId, f64)> = scored
        .into_iter()
        .map(|(token, logit)| (token, (logit - top).exp()))
        .collect();
    if let Some(k) = params.top_k {
        kept.truncate(k as usize);
    }
    if params.top_p < 1.0 {
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        let count = kept
            .iter()
            .take_while(|(_, weight)| {
                let before = sum;
                sum += weight / total;
                before < f64::from(params.top_p)
            })
            .count();
        kept.truncate(count);
    }
    kept.retain(|(_, weight)| *weight >= f64::from(params.min_p));
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    kept.into_iter()
        .map(|(token, weight)| (token, weight / total))
        .collect()
}

fn check(params: &GenerateParams, prompt: &[TokenId], generated: &[TokenId], logits: &[f32]) {
    let mut sampler = sampler(params, prompt);
    for token in generated {
        sampler.note(*token);
    }
    let expected = reference(params, prompt, generated, logits);
    let got: BTreeMap<_, _> = sampler
        .distribution(logits, None)
        .expect("sound logits")
        .into_iter()
        .collect();
    // A share below what 32-bit exponentials can hold may be missing.
    for (token, share) in expected.iter().filter(|(_, share)| **share > 1e-30) {
        let other = got
            .get(token)
            .unwrap_or_else(|| panic!("{token} is missing, share {share}"));
        assert!(
            (share - other).abs() <= 2e-5 * share,
            "{token}: {other}, not {share}"
        );
    }
    for token in got.keys() {
        assert!(expected.contains_key(token), "{token} should have been cut");
    }
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

#[test]
fn every_filter_alone_and_together_keeps_what_the_definition_keeps() {
    let plain = seeded(1);
    let cases = [
        plain.clone(),
        GenerateParams {
            temperature: 0.3,
            ..plain.clone()
        },
        GenerateParams {
            temperature: 10.0,
            ..plain.clone()
        },
        GenerateParams {
            top_k: Some(1),
            ..plain.clone()
        },
        GenerateParams {
            top_k: Some(40),
            ..plain.clone()
        },
        GenerateParams {
            top_k: Some(3000),
            ..plain.clone()
        },
        GenerateParams {
            top_k: Some(u32::MAX),
            ..plain.clone()
        },
        GenerateParams {
            top_p: 0.05,
            ..plain.clone()
        },
        GenerateParams {
            top_p: 0.9,
            ..plain.clone()
        },
        GenerateParams {
            top_p: 0.999,
            temperature: 3.0,
            ..plain.clone()
        },
        GenerateParams {
            min_p: 0.05,
            ..plain.clone()
        },
        GenerateParams {
            min_p: 1.0,
            ..plain.clone()
        },
        GenerateParams {
            min_p: 1e-6,
            ..plain.clone()
        },
        GenerateParams {
            top_k: Some(20),
            top_p: 0.8,
            min_p: 0.1,
            temperature: 1.7,
            ..plain.clone()
        },
        GenerateParams {
            repetition_penalty: 1.3,
            ..plain.clone()
        },
        GenerateParams {
            presence_penalty: 1.5,
            ..plain.clone()
        },
        GenerateParams {
            frequency_penalty: -0.7,
            ..plain.clone()
        },
        GenerateParams {
            repetition_penalty: 1.1,
            presence_penalty: 0.4,
            frequency_penalty: 0.3,
            penalty_window: Some(3),
            top_p: 0.95,
            ..plain
        },
    ];
    for len in [5, 64, 1000, 5003] {
        let logits = model_like(len, len as u64);
        for params in &cases {
            check(params, &[0, 1, 2, 3, 3], &[4, 2, 4, 1], &logits);
        }
    }
}

proptest! {
    #[test]
    fn any_settings_keep_what_the_definition_keeps(
        // Steps of a quarter, so that ties are common and sums are far from the limits.
        quarters in prop::collection::vec(-40_i8..40, 1..200),
        temperature in prop::sample::select(vec![0.1_f32, 0.7, 1.0, 4.0]),
        top_k in prop::option::of(1_u32..50),
        top_p in prop::sample::select(vec![0.113_f32, 0.517, 0.907, 1.0]),
        min_p in prop::sample::select(vec![0.0_f32, 0.013, 0.31]),
        repetition_penalty in prop::sample::select(vec![1.0_f32, 2.0, 0.5]),
        presence_penalty in prop::sample::select(vec![0.0_f32, 0.5]),
        frequency_penalty in prop::sample::select(vec![0.0_f32, 0.25, -1.0]),
        penalty_window in prop::option::of(1_u32..12),
        prompt in prop::collection::vec(0_u32..20, 0..12),
        generated in prop::collection::vec(0_u32..20, 0..12),
    ) {
        let logits: Vec<_> = quarters.iter().map(|q| f32::from(*q) * 0.25).collect();
        let params = GenerateParams {
            temperature, top_k, top_p, min_p, repetition_penalty, presence_penalty,
            frequency_penalty, penalty_window, ..seeded(1)
        };
        check(&params, &prompt, &generated, &logits);
    }
}

#[test]
fn draws_follow_the_distribution() {
    let logits = model_like(3000, 5);
    let plain = seeded(0);
    for params in [
        plain.clone(),
        GenerateParams {
            temperature: 4.0,
            ..plain.clone()
        },
        GenerateParams {
            top_k: Some(12),
            ..plain.clone()
        },
        GenerateParams {
            top_p: 0.9,
            ..plain.clone()
        },
        GenerateParams {
            min_p: 0.02,
            ..plain
        },
    ] {
        const DRAWS: usize = 40_000;
        let expected = reference(&params, &[], &[], &logits);
        let mut sampler = sampler(&params, &[]);
        let mut counts: BTreeMap<TokenId, usize> = BTreeMap::new();
        for _ in 0..DRAWS {
            *counts
                .entry(sampler.choose(&logits, None).expect("a token"))
                .or_default() += 1;
        }
        // Pearson's chi-square; tokens expected fewer than 10 times share one cell.
        let (mut chi_square, mut cells) = (0.0, 0.0);
        let (mut rare_expected, mut rare_seen) = (0.0, 0);
        let mut add = |expected: f64, seen: usize| {
            chi_square += (seen as f64 - expected).powi(2) / expected;
            cells += 1.0;
        };
        for (token, share) in &expected {
            let seen = counts.remove(token).unwrap_or(0);
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
        assert!(
            counts.is_empty(),
            "tokens that were cut came up: {counts:?}"
        );
        // Mean cells - 1, variance twice that: five standard deviations, and the seed is fixed.
        let freedom: f64 = cells - 1.0;
        assert!(
            chi_square < freedom + 5.0 * (2.0 * freedom).sqrt() + 1.0,
            "{params:?}: chi-square {chi_square:.1} with {freedom} degrees of freedom"
        );
    }
}

#[test]
fn a_step_depends_on_seed_and_number_alone() {
    let flat = vec![0.0; 1000];
    let peaked = model_like(1000, 9);
    let choices = |seed, logits: &dyn Fn(usize) -> Vec<f32>| -> Vec<_> {
        let mut sampler = sampler(&seeded(seed), &[]);
        (0..32)
            .map(|step| sampler.choose(&logits(step), None).expect("a token"))
            .collect()
    };
    let all_flat = choices(7, &|_| flat.clone());
    assert_eq!(all_flat, choices(7, &|_| flat.clone()));
    assert_ne!(all_flat, choices(8, &|_| flat.clone()));
    // Other logits at odd steps don't change what even steps draw.
    let mixed = choices(7, &|step| {
        if step % 2 == 0 {
            flat.clone()
        } else {
            peaked.clone()
        }
    });
    for step in (0..32).step_by(2) {
        assert_eq!(all_flat[step], mixed[step]);
    }
}

#[test]
fn a_seed_is_drawn_and_reported_only_for_random_choices() {
    assert_eq!(
        sampler(&GenerateParams::greedy().with_seed(3), &[]).seed(),
        None
    );
    assert_eq!(sampler(&seeded(3), &[]).seed(), Some(3));
    let drawn = |_| {
        sampler(&GenerateParams::default(), &[])
            .seed()
            .expect("a seed")
    };
    assert_ne!(drawn(0), drawn(1));
}

#[test]
fn greedy_takes_the_first_of_the_likeliest() {
    for len in [1, 3, 64, 65, 500] {
        let mut logits = vec![-1.0; len];
        assert_eq!(
            sampler(&GenerateParams::greedy(), &[])
                .choose(&logits, None)
                .unwrap(),
            0
        );
        logits[len - 1] = 2.0;
        logits[len / 2] = 2.0;
        let chosen = sampler(&GenerateParams::greedy(), &[])
            .choose(&logits, None)
            .unwrap();
        assert_eq!(chosen as usize, len / 2);
    }
}

#[test]
fn greedy_heeds_penalties() {
    let params = GenerateParams {
        presence_penalty: 1.0,
        ..GenerateParams::greedy()
    };
    let mut sampler = sampler(&params, &[0]);
    let logits = [1.5, 1.0, 0.0];
    assert_eq!(sampler.choose(&logits, None).unwrap(), 0);
    sampler.note(0);
    assert_eq!(sampler.choose(&logits, None).unwrap(), 1);
}

#[test]
fn tokens_ruled_out_by_the_model_are_never_chosen() {
    let mut logits = vec![f32::NEG_INFINITY; 300];
    logits[7] = -3.0;
    logits[250] = -3.0;
    for params in [
        seeded(1),
        GenerateParams {
            top_k: Some(10),
            ..seeded(1)
        },
        GenerateParams {
            top_p: 0.99,
            ..seeded(1)
        },
        GenerateParams {
            min_p: 0.0001,
            ..seeded(1)
        },
    ] {
        let mut sampler = sampler(&params, &[]);
        let mut seen = [0; 300];
        (0..200).for_each(|_| seen[sampler.choose(&logits, None).unwrap() as usize] += 1);
        assert_eq!(seen[7] + seen[250], 200);
        assert!(seen[7] > 0 && seen[250] > 0);
    }
}

#[test]
fn a_harsh_penalty_is_not_taken_for_a_failed_model() {
    let params = GenerateParams {
        repetition_penalty: f32::MIN_POSITIVE,
        ..GenerateParams::greedy()
    };
    assert_eq!(
        sampler(&params, &[1])
            .choose(&[9.0, 8.0, -1.0], None)
            .unwrap(),
        1
    );
}

#[test]
fn unsound_logits_are_an_error() {
    let mut nan = vec![0.5; 100];
    nan[99] = f32::NAN;
    let mut infinite = vec![0.5; 100];
    infinite[3] = f32::INFINITY;
    let cases: [&[f32]; 5] = [
        &nan,
        &infinite,
        &[f32::NAN; 70],
        &[f32::NEG_INFINITY; 5],
        &[],
    ];
    for logits in cases {
        for params in [
            GenerateParams::greedy(),
            seeded(1),
            GenerateParams {
                repetition_penalty: 2.0,
                ..seeded(1)
            },
        ] {
            let outcome = sampler(&params, &[3, 99]).choose(logits, None);
            assert!(matches!(outcome, Err(Error::Backend { backend, .. }) if backend == "test"));
        }
    }
}

/// Most of the weight lies on thousands of unlikely tokens, which are never looked at one by one.
#[test]
fn draws_reach_the_floor_of_a_large_vocabulary() {
    const DRAWS: usize = 20_000;
    const LEN: usize = 8_011;
    const CELLS: usize = 50;
    let floor: Vec<f32> = model_like(LEN, 9).iter().map(|logit| logit / 9.0).collect();
    let mut peaked = floor.clone();
    peaked[777] = 9.6;
    for (mut logits, temperature) in [(floor, 0.5), (peaked, 1.0)] {
        for ruled_out in [0, 255, 256, 5_000, LEN - 1] {
            logits[ruled_out] = f32::NEG_INFINITY;
        }
        let params = GenerateParams {
            temperature,
            ..seeded(3)
        };
        let mut sampler = sampler(&params, &[]);
        let cell = |token: usize| if token == 777 { CELLS } else { token % CELLS };
        let mut expected = [0.0_f64; CELLS + 1];
        for (token, logit) in logits.iter().enumerate() {
            expected[cell(token)] += (f64::from(*logit) / f64::from(temperature)).exp();
        }
        let total: f64 = expected.iter().sum();
        let mut seen = [0_u32; CELLS + 1];
        for _ in 0..DRAWS {
            let token = sampler.choose(&logits, None).expect("a token") as usize;
            assert!(logits[token].is_finite(), "{token} is ruled out");
            seen[cell(token)] += 1;
        }
        let chi_square: f64 = expected
            .iter()
            .zip(seen)
            .map(|(expected, seen)| {
                let expected = expected / total * DRAWS as f64;
                (f64::from(seen) - expected).powi(2) / expected.max(1.0)
            })
            .sum();
        // Fifty degrees of freedom, of a variance of 100: five standard deviations.
        assert!(
            chi_square < 100.0,
            "chi-square {chi_square:.1} at {temperature}"
        );
    }
}

/// A flat distribution is not listed: blocks of which the mask allows nothing hold what an earlier
/// step left there.
#[test]
fn a_mask_holds_for_the_floor_of_a_large_vocabulary_too() {
    const DRAWS: usize = 2_000;
    const LEN: usize = 32_768;
    let mut logits = vec![0.0_f32; LEN];
    logits[700] = 6.0;
    let all = vec![u32::MAX; LEN / 32];
    let mut some = all.clone();
    some[256 / 32..512 / 32].fill(0);
    some[2_048 / 32..3_072 / 32].fill(0);
    let mut sampler = sampler(&seeded(5), &[]);
    let mut seen = [0_u32; LEN / 256];
    for _ in 0..DRAWS {
        sampler.choose(&logits, Some(&all)).expect("a token");
        let token = sampler.choose(&logits, Some(&some)).expect("a token") as usize;
        assert!(some[token / 32] != 0, "{token} is forbidden");
        if token != 700 {
            seen[token / 256] += 1;
        }
    }
    let allowed = seen.iter().filter(|count| **count > 0).count();
    assert_eq!(allowed, LEN / 256 - 5, "blocks out of reach: {seen:?}");
    let each = DRAWS as f64 / (31_488.0 + 6_f64.exp()) * 256.0;
    for count in seen.iter().filter(|count| **count > 0) {
        // Six standard deviations of a count.
        let difference = (f64::from(*count) - each).abs();
        assert!(
            difference < 6.0 * each.sqrt(),
            "{count} instead of {each:.0}: {seen:?}"
        );
    }
}
