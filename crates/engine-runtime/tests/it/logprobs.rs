//! Log-probabilities against the definition.

use engine_core::{GenerateParams, TokenId};
use engine_runtime::{Sampler, TokenClasses};
use proptest::prelude::*;

fn sampler(params: &GenerateParams) -> Sampler {
    params.validate().unwrap();
    Sampler::new("test", params, &[], TokenClasses::default()).unwrap()
}

fn expected(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits
        .iter()
        .map(|logit| (f64::from(*logit) - f64::from(top)).exp())
        .sum();
    logits
        .iter()
        .map(|logit| f64::from(*logit) - f64::from(top) - total.ln())
        .collect()
}

fn any_logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -30.0_f32..30.0,
        2 => prop::sample::select(vec![0.0_f32, 1.5, -2.25]),
        1 => -3e38_f32..3e38,
        1 => Just(f32::NEG_INFINITY),
    ]
}

proptest! {
    #[test]
    fn they_are_of_the_models_own_distribution(
        mut logits in prop::collection::vec(any_logit(), 1..3000),
        top in 0_u32..12,
        chosen in any::<prop::sample::Index>(),
    ) {
        logits.push(0.5);
        let chosen = chosen.index(logits.len());
        // Settings that change the choice don't change them.
        let params = GenerateParams {
            temperature: 0.3,
            top_k: Some(2),
            logit_bias: [(0, 50.0)].into(),
            ..GenerateParams::default().with_logprobs(top)
        };
        let got = sampler(&params).logprobs(&logits, chosen as TokenId).unwrap().unwrap();
        let expected = expected(&logits);
        let close = |got: f32, expected: f64| {
            // JSON has no infinity.
            let expected = expected.max(f64::from(f32::MIN));
            (f64::from(got) - expected).abs() <= 1e-5 + 1e-6 * expected.abs()
        };
        prop_assert_eq!(got.chosen.token as usize, chosen);
        prop_assert!(close(got.chosen.logprob, expected[chosen]), "{:?}", got.chosen);
        let mut order: Vec<_> = (0..logits.len()).filter(|i| logits[*i].is_finite()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        order.truncate(top as usize);
        let tokens: Vec<_> = got.top.iter().map(|top| top.token as usize).collect();
        prop_assert_eq!(tokens, order);
        for top in &got.top {
            prop_assert!(close(top.logprob, expected[top.token as usize]), "{top:?}");
        }
    }
}

proptest! {
    /// Whatever comes between the logits and the choice.
    #[test]
    fn with_a_choice_they_are_those_without_and_the_choice_is_the_same(
        mut logits in prop::collection::vec(any_logit(), 1..3000),
        top in 0_u32..12,
        temperature in prop::sample::select(vec![0.0_f32, 0.3, 1.0, 5.0]),
        top_p in prop::sample::select(vec![0.4_f32, 1.0]),
        repetition_penalty in prop::sample::select(vec![1.0_f32, 1.5]),
        mask in prop::option::of(any::<u32>()),
        seed in any::<u64>(),
    ) {
        logits.push(0.5);
        logits[0] = 0.5;
        let params = GenerateParams {
            temperature, top_p, repetition_penalty,
            ..GenerateParams::default().with_seed(seed).with_logprobs(top)
        };
        let mask = mask.map(|word| vec![word | 1; logits.len().div_ceil(32)]);
        let (mut together, mut apart) = (sampler(&params), sampler(&params));
        for _ in 0..3 {
            let (token, logprobs) =
                together.choose_with_logprobs(&logits, mask.as_deref()).unwrap();
            prop_assert_eq!(token, apart.choose(&logits, mask.as_deref()).unwrap());
            prop_assert_eq!(logprobs, apart.logprobs(&logits, token).unwrap());
            together.note(token);
            apart.note(token);
        }
    }
}

#[test]
fn without_being_asked_there_are_none() {
    let got = sampler(&GenerateParams::default()).logprobs(&[1.0, 2.0], 0);
    assert_eq!(got.unwrap(), None);
    let mut sampler = sampler(&GenerateParams::greedy());
    let got = sampler.choose_with_logprobs(&[1.0, 2.0], None);
    assert_eq!(got.unwrap(), (1, None));
}

#[test]
fn the_floor_of_a_large_vocabulary_counts() {
    // Each is a hundred-millionth of the top, and together they weigh.
    let mut logits = vec![-18.6_f32; 400_000];
    logits.push(0.0);
    let last = logits.len() - 1;
    let params = GenerateParams::greedy().with_logprobs(1);
    let got = sampler(&params).logprobs(&logits, last as TokenId).unwrap();
    let expected = expected(&logits)[last];
    let logprob = f64::from(got.unwrap().chosen.logprob);
    assert!(expected < -0.003, "{expected}");
    assert!(
        (logprob - expected).abs() < 1e-7,
        "{logprob}, not {expected}"
    );
}
