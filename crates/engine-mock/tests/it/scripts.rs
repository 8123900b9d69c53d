//! Scripted replies.

use engine_core::{Error, FinishReason, GenerateParams, Message};
use engine_mock::{MockBackend, Script};
use proptest::prelude::*;

use crate::support::{ask, ask_with, chat, load};

fn engine(script: Script) -> std::sync::Arc<dyn engine_core::Engine> {
    load(MockBackend::builder().scripted(script))
}

fn france() -> Script {
    Script::new()
        .when("France", "The capital of France is Paris.")
        .when("2+2", "4")
        .reply("Hello!")
        .reply("Hello again!")
}

#[test]
fn a_matching_rule_chooses_the_reply() {
    let engine = engine(france());
    for (question, expected) in [
        (
            "What is the capital of France?",
            "The capital of France is Paris.",
        ),
        ("How much is 2+2?", "4"),
        ("Who are you?", "Hello!"),
    ] {
        let answer = ask(&engine, chat(question)).unwrap();
        assert_eq!(answer.text, expected);
        assert!(matches!(answer.summary.finish, FinishReason::EndOfText(_)));
        assert_eq!(ask(&engine, question).unwrap().text, expected);
    }
}

#[test]
fn a_rule_sees_the_last_message_alone_and_not_its_role() {
    let engine = engine(france().when("user", "a role"));
    let messages = vec![
        Message::user("Tell me of France."),
        Message::assistant("It is large."),
        Message::user("And of Spain?"),
    ];
    assert_eq!(ask(&engine, messages).unwrap().text, "Hello again!");
}

#[test]
fn the_turns_of_a_chat_get_the_replies_in_order_and_the_last_one_repeats() {
    let engine = engine(Script::new().reply("one").reply("two").reply("three"));
    let mut messages = Vec::new();
    for expected in ["one", "two", "three", "three"] {
        messages.push(Message::user("Go on."));
        let answer = ask(&engine, messages.clone()).unwrap();
        assert_eq!(answer.text, expected);
        messages.push(Message::assistant(answer.text));
    }
}

#[test]
fn the_same_prompt_gets_the_same_reply() {
    let engine = engine(france());
    for _ in 0..3 {
        assert_eq!(ask(&engine, chat("Hi")).unwrap().text, "Hello!");
    }
}

#[test]
fn a_prompt_without_a_reply_is_an_error() {
    let engine = engine(Script::new().when("France", "Paris"));
    for error in [
        ask(&engine, chat("Hi")).unwrap_err(),
        ask(&engine, "Hi").unwrap_err(),
    ] {
        assert!(matches!(error, Error::Backend { .. }), "{error}");
    }
    assert_eq!(ask(&engine, "France?").unwrap().text, "Paris");
}

#[test]
fn an_empty_reply_ends_at_once() {
    let engine = engine(Script::new().reply(""));
    let answer = ask(&engine, chat("Hi")).unwrap();
    assert_eq!(answer.text, "");
    assert!(matches!(answer.summary.finish, FinishReason::EndOfText(_)));
}

#[test]
fn no_setting_makes_a_script_say_something_else() {
    let reply = "ha ha ha ha ha ha ha ha";
    let engine = engine(Script::new().reply(reply));
    let params = GenerateParams {
        temperature: 10.0,
        repetition_penalty: 10.0,
        presence_penalty: 2.0,
        frequency_penalty: 2.0,
        ..GenerateParams::default().with_seed(1)
    };
    assert_eq!(
        ask_with(&engine, chat("Laugh"), params.clone())
            .unwrap()
            .text,
        reply
    );
    assert_eq!(ask_with(&engine, "Laugh", params).unwrap().text, reply);
}

#[test]
fn a_reply_begins_again_when_the_end_of_text_is_ignored() {
    let engine = engine(Script::new().reply("ab"));
    let mut params = GenerateParams::greedy().with_max_tokens(8);
    params.ignore_eos = true;
    let answer = ask_with(&engine, chat("Hi"), params.clone()).unwrap();
    assert_eq!(answer.text, "ababab");
    let answer = ask_with(&engine, "Hi", params).unwrap();
    assert_eq!(answer.text, "ababa");
}

#[test]
fn a_reply_is_cut_at_a_stop_string() {
    let engine = engine(france());
    let params = GenerateParams::greedy().with_stop("e is Pa");
    let answer = ask_with(&engine, "France", params).unwrap();
    assert_eq!(answer.text, "The capital of Franc");
}

#[test]
fn a_plain_text_that_ends_like_a_reply_gets_all_of_it() {
    let engine = engine(Script::new().reply("abcdef"));
    assert_eq!(ask(&engine, "abc").unwrap().text, "abcdef");
}

#[test]
fn the_answer_to_a_plain_text_begins_with_a_token_of_its_own() {
    let engine = engine(Script::new().reply("ab"));
    let begin = engine.tokenize("<|answer|>").unwrap();
    assert_eq!(ask(&engine, "Hi").unwrap().tokens, [begin[0], 97, 98]);
    assert_eq!(ask(&engine, chat("Hi")).unwrap().tokens, [97, 98]);
}

#[test]
fn a_reply_that_repeats_itself_ends() {
    for reply in ["aaaa", "abababac", "the the the the"] {
        let engine = engine(Script::new().reply(reply));
        assert_eq!(ask(&engine, "Say it: ").unwrap().text, reply);
        assert_eq!(ask(&engine, chat("Say it")).unwrap().text, reply);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_reply_comes_back_as_it_was_given(reply in "\\PC{0,40}", question in "\\PC{1,20}") {
        // A special token in a reply is one to the tokenizer too.
        prop_assume!(!reply.contains("<|") && !question.contains("<|"));
        let engine = engine(Script::new().reply(reply.as_str()));
        prop_assert_eq!(&ask(&engine, chat(&question)).unwrap().text, &reply);
        prop_assert_eq!(&ask(&engine, question).unwrap().text, &reply);
    }
}
