//! The tokenizer and the chat template are real ones.

use engine_core::Message;
use engine_mock::MockBackend;
use proptest::prelude::*;

use crate::support::load;

#[test]
fn known_words_are_one_token_with_their_space() {
    let engine = load(MockBackend::builder());
    assert_eq!(engine.tokenize(" river and sea").unwrap().len(), 3);
}

#[test]
fn characters_take_several_tokens() {
    let engine = load(MockBackend::builder());
    for (text, tokens) in [("🦀", 4), ("海", 3), ("é", 2)] {
        assert_eq!(engine.tokenize(text).unwrap().len(), tokens, "{text}");
    }
    let half = &engine.tokenize("海").unwrap()[..2];
    assert_eq!(engine.detokenize(half).unwrap(), "\u{FFFD}");
}

#[test]
fn a_chat_is_rendered_as_chatml() {
    let engine = load(MockBackend::builder());
    let messages = [
        Message::system("Be brief."),
        Message::user("Hi\n"),
        Message::assistant("Hello."),
        Message::user("Bye"),
    ];
    assert_eq!(
        engine.render_chat(&messages).unwrap(),
        "<|im_start|>system\nBe brief.<|im_end|>\n\
         <|im_start|>user\nHi\n<|im_end|>\n\
         <|im_start|>assistant\nHello.<|im_end|>\n\
         <|im_start|>user\nBye<|im_end|>\n\
         <|im_start|>assistant\n"
    );
}

#[test]
fn special_tokens_are_one_token_and_no_text() {
    let engine = load(MockBackend::builder());
    for name in ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|answer|>"] {
        let tokens = engine.tokenize(name).unwrap();
        assert_eq!(tokens.len(), 1, "{name}");
        assert_eq!(engine.detokenize(&tokens).unwrap(), "");
        assert!((tokens[0] as usize) < engine.info().model.vocab_size);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_text_comes_back(text in "\\PC{0,60}") {
        prop_assume!(!text.contains("<|"));
        let engine = load(MockBackend::builder());
        let tokens = engine.tokenize(&text).unwrap();
        prop_assert_eq!(engine.detokenize(&tokens).unwrap(), text);
    }
}
