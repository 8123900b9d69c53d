//! What a generation makes of its settings beyond the choice of tokens.

use engine_core::{Constraint, FinishReason, GenerateParams, LoopGuard};
use proptest::prelude::*;

use crate::{
    random_model::{Settings, answer, engine},
    tokenizers::byte_level,
};

fn noise() -> std::sync::Arc<dyn engine_core::Engine> {
    engine(&Settings {
        tokenizer: &byte_level(),
        seed: 1,
        favoured: "",
    })
}

/// An answer that repeats a text for ever.
fn repeating(text: &str, guard: LoopGuard) -> engine_core::Completion {
    let params = GenerateParams {
        constraint: Some(Constraint::Regex(format!("({text})*"))),
        loop_guard: Some(guard),
        logit_bias: [(crate::tokenizers::EOS, -100.0)].into(),
        ..GenerateParams::greedy().with_max_tokens(200)
    };
    answer(noise().as_ref(), params).expect("an answer")
}

#[test]
fn an_answer_that_repeats_itself_is_ended() {
    let guard = |longest, repeats, min_tokens| LoopGuard {
        longest,
        repeats,
        min_tokens,
    };
    // Of letters that no token joins: each is a token of its own.
    let looped = repeating("xyz", guard(8, 4, 0));
    assert_eq!(looped.summary.finish, FinishReason::Loop(3));
    assert_eq!(looped.text, "xyzxyzxyzxyz");
    let looped = repeating("xyz", guard(3, 2, 20));
    assert_eq!(looped.text.len(), 20);
    assert_eq!(looped.summary.finish, FinishReason::Loop(3));
    let too_long = repeating("xyzw", guard(3, 2, 0));
    assert_eq!(too_long.summary.finish, FinishReason::MaxTokens);
    let looped = repeating("x", guard(8, 5, 0));
    assert_eq!(looped.text, "xxxxx");
    assert_eq!(looped.summary.finish, FinishReason::Loop(1));
}

#[test]
fn each_token_has_its_log_probability() {
    let params = GenerateParams::default()
        .with_max_tokens(20)
        .with_seed(4)
        .with_logprobs(3);
    let with = answer(noise().as_ref(), params.clone()).unwrap();
    assert_eq!(with.logprobs.len(), with.tokens.len());
    for (token, logprobs) in with.tokens.iter().zip(&with.logprobs) {
        assert_eq!(logprobs.chosen.token, *token);
        assert_eq!(logprobs.top.len(), 3);
        assert!(logprobs.chosen.logprob <= logprobs.top[0].logprob);
        let same = logprobs.top.iter().find(|top| top.token == *token);
        assert!(same.is_none_or(|top| *top == logprobs.chosen));
    }
    let without = answer(
        noise().as_ref(),
        GenerateParams {
            logprobs: None,
            ..params
        },
    )
    .unwrap();
    assert_eq!(without.tokens, with.tokens);
    assert!(without.logprobs.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_tokens_the_answer_is_their_text_cut_at_the_earliest_stop(
        seed in any::<u64>(),
        stops in prop::collection::vec("[a-z <]{1,2}|[\u{80}-\u{ff}]", 0..3),
    ) {
        let engine = noise();
        let params = GenerateParams::default()
            .with_max_tokens(60)
            .with_temperature(2.0)
            .with_seed(seed);
        let whole = answer(engine.as_ref(), params.clone()).unwrap();
        prop_assert_eq!(&engine.detokenize(&whole.tokens).unwrap(), &whole.text);
        let cut = answer(engine.as_ref(), GenerateParams { stop: stops.clone(), ..params }).unwrap();
        let earliest = stops.iter().filter_map(|stop| whole.text.find(stop.as_str())).min();
        let expected = &whole.text[..earliest.unwrap_or(whole.text.len())];
        prop_assert_eq!(cut.text, expected);
        let by_stop = matches!(cut.summary.finish, FinishReason::StopString(_));
        prop_assert_eq!(by_stop, earliest.is_some());
    }
}
