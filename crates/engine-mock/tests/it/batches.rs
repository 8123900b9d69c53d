//! A seed gives the same answer whatever else runs.

use engine_core::{
    Constraint, Dry, EngineExt, GenerateParams, GenerateRequest, Mirostat, SamplerStage, Xtc,
};
use engine_mock::MockBackend;
use futures_executor::block_on;
use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::support::{ask_with, load};

/// Settings that draw random numbers in every way that there is.
fn settings() -> Vec<GenerateParams> {
    let sampled = |seed| {
        GenerateParams::default()
            .with_temperature(1.2)
            .with_max_tokens(60)
            .with_seed(seed)
    };
    vec![
        sampled(7),
        GenerateParams {
            xtc: Some(Xtc::default()),
            typical_p: 0.9,
            ..sampled(7)
        },
        GenerateParams {
            mirostat: Some(Mirostat::default()),
            ..sampled(8)
        },
        GenerateParams {
            dry: Some(Dry::default()),
            top_p: 0.9,
            sampler_order: SamplerStage::DEFAULT_ORDER.iter().copied().rev().collect(),
            ..sampled(9)
        },
        sampled(10).with_constraint(Constraint::Regex("[a-z ]{20,40}".to_owned())),
        sampled(11).with_logprobs(3),
    ]
}

#[test]
fn a_seed_gives_the_same_answer_alone_and_beside_others() {
    for mock in [
        MockBackend::builder(),
        MockBackend::builder().device_choice(true),
    ] {
        let engine = load(mock.max_concurrent(5));
        let prompt = "Once upon a time";
        let alone: Vec<_> = settings()
            .into_iter()
            .map(|params| ask_with(&engine, prompt, params).unwrap())
            .collect();
        for (params, expected) in settings().into_iter().zip(&alone) {
            // More requests than run at once, of other lengths and settings, before and behind it.
            let others = settings().into_iter().chain([GenerateParams::greedy()]);
            let mut requests: Vec<_> = others
                .enumerate()
                .map(|(index, other)| {
                    let other = other.with_max_tokens(10 + 9 * index as u32);
                    GenerateRequest::text(format!("Request {index}")).with_params(other)
                })
                .collect();
            requests.insert(2, GenerateRequest::text(prompt).with_params(params));
            let answers: FuturesUnordered<_> = requests
                .into_iter()
                .enumerate()
                .map(|(index, request)| {
                    let answer = engine.complete(request);
                    async move { (index, answer.await) }
                })
                .collect();
            let answers: Vec<_> = block_on(answers.collect());
            let (_, beside) = answers.into_iter().find(|(index, _)| *index == 2).unwrap();
            let beside = beside.unwrap();
            assert_eq!(beside.text, expected.text);
            assert_eq!(beside.tokens, expected.tokens);
            assert_eq!(beside.logprobs, expected.logprobs);
            assert_eq!(beside.summary.finish, expected.summary.finish);
        }
    }
}
