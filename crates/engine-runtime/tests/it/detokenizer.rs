//! The streaming detokenizer against decoding everything at once.

use engine_runtime::TextPipeline;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tokenizers::{byte_fallback, byte_level, id_range, llama_decoder, pipeline};

fn streamed(text: &TextPipeline, tokens: &[u32]) -> String {
    let mut detokenizer = text.detokenizer();
    let mut joined: String = tokens
        .iter()
        .map(|token| detokenizer.push(*token))
        .collect();
    joined.push_str(&detokenizer.finish().expect("the rest"));
    joined
}

/// Decoders in use, and combinations of their parts.
fn tokenizers() -> Vec<Value> {
    let replace = json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " });
    let fallback = json!({ "type": "ByteFallback" });
    let fuse = json!({ "type": "Fuse" });
    let metaspace = |scheme| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true });
    let strip =
        |start, stop| json!({ "type": "Strip", "content": " ", "start": start, "stop": stop });
    let sequence = |decoders: &[&Value]| json!({ "type": "Sequence", "decoders": decoders });
    let decoders = [
        llama_decoder(),
        // Gemma's.
        sequence(&[&replace, &fallback, &fuse]),
        sequence(&[&fallback, &metaspace("always")]),
        sequence(&[&metaspace("first"), &fallback]),
        metaspace("never"),
        sequence(&[&replace, &strip(1, 0), &fallback]),
        sequence(&[&replace, &fuse, &strip(3, 0)]),
        // Kinds whose text is known only as a whole.
        json!({ "type": "WordPiece", "prefix": "t", "cleanup": true }),
        json!({ "type": "BPEDecoder", "suffix": "e" }),
        json!({ "type": "CTC", "pad_token": "a", "word_delimiter_token": "b", "cleanup": true }),
        json!({ "type": "Replace", "pattern": { "Regex": "[a-f]" }, "content": "-" }),
        sequence(&[
            &fuse,
            &json!({ "type": "Replace", "pattern": { "String": "an" }, "content": "" }),
        ]),
        Value::Null,
    ];
    let mut all = vec![byte_level()];
    all.extend(decoders.iter().map(byte_fallback));
    all
}

/// Mostly byte tokens, so that whole, broken and cut characters all come up.
fn ids(tokenizer: &Value) -> impl Strategy<Value = Vec<u32>> + use<> {
    let bytes = prop::sample::select(vec![
        0xE2_u32, 0x96, 0x81, 0xF0, 0x9F, 0x99, 0x82, 0xC3, 0xA9, 0x41, 0x20, 0xFF, 0xED, 0xA0,
    ]);
    let first_byte = if tokenizer["model"]["byte_fallback"] == true {
        3
    } else {
        2
    };
    prop::collection::vec(
        prop_oneof![
            bytes.prop_map(move |byte| byte + first_byte),
            id_range(tokenizer)
        ],
        0..40,
    )
}

#[test]
fn pieces_joined_are_the_whole_text_for_any_tokens() {
    for tokenizer in tokenizers() {
        let text = pipeline(&tokenizer);
        let mut runner = proptest::test_runner::TestRunner::default();
        runner
            .run(&ids(&tokenizer), |ids| {
                prop_assert_eq!(streamed(&text, &ids), text.decode(&ids).expect("text"));
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{}: {error}", tokenizer["decoder"]));
    }
}

#[test]
fn only_a_character_that_is_not_whole_is_held_back() {
    let tokenizer = byte_level();
    let text = pipeline(&tokenizer);
    proptest!(|(ids in ids(&tokenizer))| {
        let mut detokenizer = text.detokenizer();
        let mut released = String::new();
        for count in 1..=ids.len() {
            released.push_str(&detokenizer.push(ids[count - 1]));
            let known = text.decode(&ids[..count]).expect("text");
            let held = known.strip_prefix(&released).expect("what was released stays");
            prop_assert!(held.is_empty() || held == "\u{FFFD}", "{held:?} is held back");
        }
    });
}

#[test]
fn every_text_survives_the_way_to_tokens_and_back() {
    for tokenizer in [byte_level(), byte_fallback(&llama_decoder())] {
        let text = pipeline(&tokenizer);
        proptest!(|(original in "[a-z thé.🙂日\n]{0,40}")| {
            let tokens = text.encode(&original, true).expect("tokens");
            prop_assert_eq!(streamed(&text, &tokens), original);
        });
    }
}

#[test]
fn an_emoji_of_several_tokens_comes_in_one_piece() {
    let text = pipeline(&byte_level());
    let tokens = text.encode("a🙂b", false).expect("tokens");
    let mut detokenizer = text.detokenizer();
    let pieces: Vec<_> = tokens
        .iter()
        .map(|token| detokenizer.push(*token))
        .collect();
    assert_eq!(pieces, ["a", "", "🙂", "b"]);
}

#[test]
fn a_character_cut_short_becomes_a_replacement_character() {
    let text = pipeline(&byte_level());
    let tokens = text.encode("a🙂", false).expect("tokens");
    assert_eq!(streamed(&text, &tokens[..2]), "a\u{FFFD}");
}

#[test]
fn a_long_run_of_bytes_costs_no_more_than_its_length() {
    // Quadratic work would take minutes here.
    for tokenizer in [byte_level(), byte_fallback(&llama_decoder())] {
        let text = pipeline(&tokenizer);
        let tokens = text.encode(&"🙂".repeat(200_000), false).expect("tokens");
        assert_eq!(streamed(&text, &tokens).chars().count(), 200_000);
    }
}
