//! Draws from distributions in which thousands of tokens are likely, against the definition.

use std::collections::{BTreeMap, BTreeSet};

use engine_core::{GenerateParams, TokenId};
use engine_runtime::{Sampler, TokenClasses};

/// Neither blocks nor words of masks divide it.
const LEN: usize = 40_007;

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

/// Whether so many tokens are likely that they are not listed: more than 1024 of the columns, of 16
/// tokens each, hold one that is no further than 10 below the likeliest.
fn is_flat(logits: &[f32], allowed: &dyn Fn(usize) -> bool) -> bool {
    let allowed = (0..logits.len()).filter(|token| allowed(*token));
    let top = allowed.clone().map(|token| logits[token]);
    let least = top.fold(f32::NEG_INFINITY, f32::max) - 10.0;
    let likely = allowed.filter(|token| logits[*token] >= least);
    let columns: BTreeSet<_> = likely.map(|token| (token / 256, token % 16)).collect();
    columns.len() > 1024
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
    let allowed = |token: usize| {
        let word = |mask: &[u32]| mask.get(token / 32).copied().unwrap_or(0);
        mask.is_none_or(|mask| word(mask) >> (token % 32) & 1 == 1)
    };
    assert!(is_flat(logits, &allowed));
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
    // The first is a word short.
    for words in [LEN / 32, LEN.div_ceil(32)] {
        let mut mask = vec![0x5555_ffff; words];
        mask[64..512].fill(0);
        let mut logits = bell(3);
        // The likeliest of all, which the longer mask allows.
        logits[LEN - 1] = 9.0;
        for top_p in [1.0, 0.8] {
            check(&logits, Some(&mask), top_p);
        }
    }
}

#[test]
fn one_token_may_outweigh_all_others_together() {
    let mut logits = bell(4);
    // It weighs 1.5 times as much as they do.
    logits[12_345] = 11.5;
    for top_p in [1.0, 0.9, 0.5] {
        check(&logits, None, top_p);
    }
    logits[54] = 10.5;
    check(&logits, None, 0.999);
}

#[test]
fn a_choice_with_log_probabilities_is_the_choice_and_its_log_probabilities() {
    let params = GenerateParams {
        top_p: 0.9,
        ..GenerateParams::default()
            .with_temperature(1.3)
            .with_seed(3)
            .with_logprobs(4)
    };
    let (mut together, mut apart) = (sampler(&params), sampler(&params));
    for logits in [bell(7), bell(8), bell(7)] {
        assert!(is_flat(&logits, &|_| true));
        for _ in 0..20 {
            let (token, logprobs) = together
                .choose_with_logprobs(&logits, None)
                .expect("a token");
            assert_eq!(apart.choose(&logits, None).expect("a token"), token);
            assert_eq!(apart.logprobs(&logits, token).expect("a report"), logprobs);
            assert!(logprobs.is_some());
        }
    }
}

#[test]
fn next_to_no_temperature_draws_among_the_likeliest_alone() {
    // The last is the least number above 0.
    for temperature in [1e-37, 4e-39, 1e-40, 1e-45] {
        let mut logits = vec![-1.0; LEN];
        for logit in logits.iter_mut().skip(1).step_by(3) {
            *logit = 2.0;
        }
        let params = GenerateParams::default()
            .with_temperature(temperature)
            .with_seed(1);
        for top_p in [1.0, 0.7] {
            let mut sampler = sampler(&GenerateParams {
                top_p,
                ..params.clone()
            });
            let drawn: BTreeSet<_> = (0..100)
                .map(|_| sampler.choose(&logits, None).expect("a token"))
                .collect();
            assert!(drawn.len() > 90, "{temperature}, {top_p}: {drawn:?}");
            assert!(drawn.iter().all(|token| token % 3 == 1), "{drawn:?}");
        }
    }
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
