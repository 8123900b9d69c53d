//! Made-up text.

use engine_core::GenerateParams;
use engine_mock::MockBackend;

use crate::support::{ask, ask_with, load};

const PROMPT: &str = "Once upon a time";

#[test]
fn a_mock_repeats_itself() {
    let answers: Vec<_> = (0..2)
        .map(|_| {
            ask(&load(MockBackend::builder().seeded(5)), PROMPT)
                .unwrap()
                .text
        })
        .collect();
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn another_seed_is_another_model() {
    let answers =
        [1, 2].map(|seed| ask(&load(MockBackend::builder().seeded(seed)), PROMPT).unwrap());
    assert_ne!(answers[0].text, answers[1].text);
}

#[test]
fn another_prompt_gets_another_answer() {
    let engine = load(MockBackend::builder());
    assert_ne!(
        ask(&engine, PROMPT).unwrap().text,
        ask(&engine, "Twice upon a time").unwrap().text
    );
}

#[test]
fn answers_are_words_and_whole_characters() {
    for seed in 0..20 {
        let engine = load(MockBackend::builder().seeded(seed));
        let params = GenerateParams::default().with_seed(seed);
        let answer = ask_with(&engine, PROMPT, params).unwrap();
        assert!(!answer.text.trim().is_empty(), "{:?}", answer.text);
        assert!(
            !answer
                .text
                .trim_end_matches('\u{FFFD}')
                .contains('\u{FFFD}'),
            "{:?}",
            answer.text
        );
    }
}

#[test]
fn answers_have_characters_of_several_tokens() {
    let engine = load(MockBackend::builder());
    let text: String = (0..10)
        .map(|seed| {
            let params = GenerateParams::default().with_seed(seed);
            ask_with(&engine, PROMPT, params).unwrap().text
        })
        .collect();
    assert!(
        text.chars().any(|character| character.len_utf8() > 2),
        "{text:?}"
    );
}

#[test]
fn most_answers_end_by_themselves() {
    let engine = load(MockBackend::builder());
    let ended = (0..20)
        .filter(|seed| {
            let params = GenerateParams::default().with_seed(*seed);
            let answer = ask_with(&engine, PROMPT, params).unwrap();
            answer.summary.finish.name() == "end_of_text"
        })
        .count();
    assert!(ended > 10, "{ended} of 20");
}
