//! Mirostat 2.0 against its definition, over whole answers.

use std::collections::{BTreeMap, HashSet};

use engine_core::{GenerateParams, Mirostat, TokenId};
use engine_runtime::{Sampler, TokenClasses};

use crate::sampling_reference::Moment;

/// Logits of a step: a handful of likely tokens over a floor, other ones at each step.
fn logits(step: u64, len: usize) -> Vec<f32> {
    let mut state = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..len)
        .map(|_| (0..4).map(|_| uniform()).sum::<f32>() * 8.0 - 16.0)
        .collect()
}

/// Follows an answer of 300 tokens, and returns the mean surprise of its last 200.
fn follow(tau: f32, temperature: f32, len: usize) -> f64 {
    let params = GenerateParams {
        mirostat: Some(Mirostat { tau, eta: 0.1 }),
        ..GenerateParams::default()
            .with_temperature(temperature)
            .with_seed(3)
    };
    params.validate().unwrap();
    let mut sampler = Sampler::new("test", &params, &[], TokenClasses::default()).unwrap();
    let breakers = HashSet::new();
    let mut bound = 2.0 * f64::from(tau);
    let mut surprises = Vec::new();
    for step in 0..300 {
        let logits = logits(step, len);
        let shares = Moment::new(&params, &breakers).distribution(&logits);
        let surprise = |token: &TokenId| -shares[token].log2();
        let mut kept: BTreeMap<_, _> = shares
            .iter()
            .filter(|(token, _)| surprise(token) <= bound)
            .map(|(token, share)| (*token, *share))
            .collect();
        if kept.is_empty() {
            let likeliest = shares.iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
            kept.insert(*likeliest.0, *likeliest.1);
        }
        let total: f64 = kept.values().sum();
        let got = sampler.distribution(&logits, None).unwrap();
        assert_eq!(got.len(), kept.len(), "step {step}, bound {bound}");
        for (token, share) in got {
            let expected = kept[&token] / total;
            assert!(
                (share - expected).abs() < 1e-4 * expected,
                "step {step}: {token} has {share}, not {expected}"
            );
        }
        let chosen = sampler.choose(&logits, None).unwrap();
        sampler.note(chosen);
        surprises.push(surprise(&chosen));
        bound -= f64::from(0.1_f32) * (surprise(&chosen) - f64::from(tau));
    }
    surprises[100..].iter().sum::<f64>() / 200.0
}

#[test]
fn the_distribution_follows_the_definition_and_the_surprise_comes_near_its_target() {
    for (tau, temperature, len) in [(2.0, 1.0, 400), (4.0, 1.0, 2000), (3.0, 1.5, 1000)] {
        let mean = follow(tau, temperature, len);
        assert!(
            (mean - f64::from(tau)).abs() < 0.5,
            "{mean} bits on average, not {tau}"
        );
    }
}

#[test]
fn a_target_that_no_token_is_below_leaves_the_likeliest() {
    let params = GenerateParams {
        mirostat: Some(Mirostat {
            tau: 0.01,
            eta: 0.1,
        }),
        ..GenerateParams::default().with_temperature(1.0).with_seed(3)
    };
    let mut sampler = Sampler::new("test", &params, &[], TokenClasses::default()).unwrap();
    assert_eq!(sampler.choose(&[0.0, 0.1, 0.0], None).unwrap(), 1);
}
