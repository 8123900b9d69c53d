//! Draws from distributions in which thousands of tokens are likely, against the definition.

use std::collections::BTreeMap;

use engine_core::{GenerateParams, TokenId};
use engine_runtime::{Sampler, TokenClasses};

const LEN: usize = 40_000;

fn sampler(params: &GenerateParams) -> Sampler {
    params.validate().expect("the test's settings are in range");
    Sampler::new("test", params, &[], TokenClasses::default()).expect("a sampler")
}

/// Bell-shaped logits, with a standard deviation of 1.
fn bell(seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..LEN)
        .map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0)
        .collect()
}

/// The nucleus with its probabilities: sorted as a whole, in 64 bits. Of equally likely tokens the
/// lower comes first.
fn nucleus(logits: &[f32], allowed: &dyn Fn(usize) -> bool, share: f64) -> BTreeMap<TokenId, f64> {
    let mut order: Vec<usize> = (0..logits.len()).filter(|token| allowed(*token)).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let weight = |token: &usize| f64::from(logits[*token]).exp();
    let total: f64 = order.iter().map(weight).sum();
    let mut sum = 0.0;
    let kept = order.iter().take_while(|token| {
        let before = sum;
        sum += weight(token) / total;
        before < share
    });
    let kept: Vec<_> = kept.collect();
    let total: f64 = kept.iter().map(|token| weight(token)).sum();
    let shares = kept.iter();
    shares
        .map(|token| (**token as TokenId, weight(token) / total))
        .collect()
}

/// Draws many times, and compares how often tokens come up, in groups of about equal weight.
fn check(logits: &[f32], mask: Option<&[u32]>, top_p: f32) {
    const DRAWS: usize = 6_000;
    const CELLS: usize = 60;
    let params = GenerateParams {
        top_p,
        ..GenerateParams::default()
            .with_temperature(1.0)
            .with_seed(11)
    };
    let allowed = |token: usize| mask.is_none_or(|mask| mask[token / 32] >> (token % 32) & 1 == 1);
    let expected = nucleus(logits, &allowed, f64::from(top_p));
    let mut likeliest_first: Vec<_> = expected.iter().collect();
    likeliest_first.sort_by(|a, b| b.1.total_cmp(a.1));
    let mut cells = BTreeMap::new();
    let mut shares = [0.0; CELLS];
    let mut sum = 0.0;
    for (token, share) in likeliest_first {
        let cell = ((sum * CELLS as f64) as usize).min(CELLS - 1);
        sum += share;
        cells.insert(*token, cell);
        shares[cell] += share;
    }
    let mut sampler = sampler(&params);
    let mut seen = [0_u32; CELLS];
    for _ in 0..DRAWS {
        let token = sampler.choose(logits, mask).expect("a token");
        let cell = cells.get(&token);
        seen[*cell.unwrap_or_else(|| panic!("{token} is not in the nucleus"))] += 1;
    }
    let parts = shares.iter().zip(seen).filter(|(share, _)| **share > 0.0);
    let chi_square: f64 = parts
        .clone()
        .map(|(share, seen)| {
            let expected = share * DRAWS as f64;
            (f64::from(seen) - expected).powi(2) / expected
        })
        .sum();
    // Mean cells - 1, variance twice that: five standard deviations, and the seed is fixed.
    let freedom = parts.count() as f64 - 1.0;
    assert!(
        chi_square < freedom + 5.0 * (2.0 * freedom).sqrt() + 1.0,
        "top-p {top_p}: chi-square {chi_square:.1} with {freedom} degrees of freedom"
    );
}

#[test]
fn draws_follow_the_distribution() {
    for top_p in [1.0, 0.95, 0.5, 0.03] {
        check(&bell(1), None, top_p);
    }
}

#[test]
fn draws_follow_the_distribution_where_many_tokens_are_equally_likely() {
    // Of a few values each, as a model that computes in 16 bits gives.
    for steps in [1.0, 16.0] {
        let mut logits = bell(2);
        for logit in &mut logits {
            // Without a zero that is negative, which the definition would sort behind the other.
            *logit = (*logit * steps).round() / steps + 0.0;
        }
        for top_p in [0.9, 0.4] {
            check(&logits, None, top_p);
        }
    }
    check(&vec![1.5; LEN], None, 0.7);
}

#[test]
fn draws_follow_the_distribution_behind_a_mask() {
    let mut mask = vec![0x5555_ffff; LEN / 32];
    mask[64..512].fill(0);
    for top_p in [1.0, 0.8] {
        check(&bell(3), Some(&mask), top_p);
    }
}

#[test]
fn one_token_may_outweigh_all_others_together() {
    let mut logits = bell(4);
    logits[12_345] = 16.0;
    check(&logits, None, 0.9);
    logits[54] = 15.0;
    check(&logits, None, 0.999);
}

#[test]
fn a_token_that_is_turned_down_leaves_no_trace_in_later_steps() {
    let params = GenerateParams {
        top_p: 0.2,
        ..GenerateParams::default().with_temperature(1.0).with_seed(5)
    };
    let (flat, other) = (bell(5), bell(6));
    let choices = |rows: [&[f32]; 2]| -> Vec<_> {
        let mut sampler = sampler(&params);
        let steps = 0..40;
        steps
            .map(|step| sampler.choose(rows[step % 2], None).expect("a token"))
            .collect()
    };
    let (same, mixed) = (choices([&flat, &flat]), choices([&flat, &other]));
    for step in (0..40).step_by(2) {
        assert_eq!(same[step], mixed[step], "step {step}");
    }
}
