//! A tokenizer rebuilt from GGUF metadata cuts and merges as the original does.

use model_files::TextFiles;
use proptest::prelude::*;
use serde_json::json;
use tokenizers::Tokenizer;

use crate::fixtures::{
    GgufBytes, Meta, START, TOOL, WHOLE, byte_vocab, json_of, open_gguf, set_tokenizer, small_gguf,
};

fn text_files(gguf: &GgufBytes) -> TextFiles {
    open_gguf(gguf).unwrap().text().clone()
}

fn tokenizer(gguf: &GgufBytes) -> Tokenizer {
    text_files(gguf).tokenizer_json.parse().unwrap()
}

fn with_pre(pre: &str) -> Tokenizer {
    let mut gguf = small_gguf("llama");
    set_tokenizer(&mut gguf, pre);
    gguf.set("tokenizer.ggml.add_bos_token", Meta::Bool(false));
    tokenizer(&gguf)
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    tokenizer.encode(text, true).unwrap().get_tokens().to_vec()
}

fn message(change: impl FnOnce(&mut GgufBytes)) -> String {
    let mut gguf = small_gguf("llama");
    change(&mut gguf);
    open_gguf(&gguf)
        .expect_err("the tokenizer is faulty")
        .to_string()
}

#[test]
fn digits_are_cut_as_the_name_says() {
    for (pre, expected) in [
        ("gpt-2", vec!["1234"]),
        ("smollm", vec!["1", "2", "3", "4"]),
        ("starcoder", vec!["1", "2", "3", "4"]),
        ("llama-bpe", vec!["123", "4"]),
        ("llama3", vec!["123", "4"]),
        ("qwen2", vec!["1", "2", "3", "4"]),
        ("default", vec!["123", "4"]),
    ] {
        assert_eq!(tokens(&with_pre(pre), "1234"), expected, "{pre}");
    }
}

#[test]
fn a_space_goes_with_the_word_behind_it() {
    for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2", "default"] {
        assert_eq!(tokens(&with_pre(pre), "a  a"), ["a", "Ġ", "Ġa"], "{pre}");
    }
}

#[test]
fn llama_takes_a_piece_that_is_a_token_whole() {
    assert_eq!(tokens(&with_pre("llama-bpe"), " whole"), ["Ġwhole"]);
    assert_eq!(tokens(&with_pre("gpt-2"), " whole").len(), 6);
    assert_eq!(with_pre("gpt-2").token_to_id("Ġwhole"), Some(WHOLE));
}

#[test]
fn qwen_composes_characters_first() {
    assert_eq!(tokens(&with_pre("qwen2"), "e\u{301}"), ["Ã", "©"]);
    assert_eq!(tokens(&with_pre("gpt-2"), "e\u{301}"), ["e", "Ì", "ģ"]);
}

#[test]
fn default_cuts_punctuation_off() {
    // GPT-2's rule alone would keep the space with the quotation mark.
    let whole = with_pre("gpt-2").encode(" \"", true).unwrap();
    let cut = with_pre("default").encode(" \"", true).unwrap();
    assert_eq!(whole.get_word_ids(), [Some(0), Some(0)]);
    assert_eq!(cut.get_word_ids(), [Some(0), Some(1)]);
}

#[test]
fn added_tokens_are_found_in_the_text() {
    let tokenizer = with_pre("smollm");
    let encoding = tokenizer.encode("a<|start|>1<|tool|>", true).unwrap();
    let ids = [u32::from(b'a'), START, u32::from(b'1'), TOOL];
    assert_eq!(encoding.get_ids(), ids);
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "a1<|tool|>");
}

#[test]
fn every_token_keeps_its_number() {
    let tokenizer = with_pre("llama-bpe");
    for (id, token) in byte_vocab().iter().enumerate() {
        assert_eq!(tokenizer.token_to_id(token), Some(id as u32));
    }
    assert_eq!(tokenizer.get_vocab_size(true), byte_vocab().len());
}

#[test]
fn a_text_begins_with_bos_where_the_file_or_the_family_says_so() {
    let first = |pre: &str, add: Option<bool>| {
        let mut gguf = small_gguf("llama");
        set_tokenizer(&mut gguf, pre);
        if let Some(add) = add {
            gguf.set("tokenizer.ggml.add_bos_token", Meta::Bool(add));
        }
        tokenizer(&gguf).encode("a", true).unwrap().get_ids()[0]
    };
    let a = u32::from(b'a');
    assert_eq!(first("llama-bpe", None), START);
    assert_eq!(first("llama-bpe", Some(false)), a);
    assert_eq!(first("gpt-2", None), a);
    assert_eq!(first("gpt-2", Some(true)), START);
}

#[test]
fn a_text_ends_with_eos_where_the_file_says_so() {
    let mut gguf = small_gguf("llama");
    gguf.set("tokenizer.ggml.add_eos_token", Meta::Bool(true));
    gguf.set("tokenizer.ggml.eos_token_id", Meta::U32(TOOL));
    let tokenizer = tokenizer(&gguf);
    let ids = |special| tokenizer.encode("a", special).unwrap().get_ids().to_vec();
    assert_eq!(ids(true), [u32::from(b'a'), TOOL]);
    assert_eq!(ids(false), [u32::from(b'a')]);
    let pair = tokenizer.encode(("a", "a"), true).unwrap();
    assert_eq!(pair.get_ids().len(), 4);
}

#[test]
fn the_configuration_names_the_special_tokens() {
    let mut gguf = small_gguf("llama");
    gguf.set("tokenizer.ggml.unknown_token_id", Meta::U32(0));
    gguf.set("tokenizer.ggml.padding_token_id", Meta::U32(TOOL));
    let text = text_files(&gguf);
    let added = |content: &str, special: bool| {
        json!({
            "content": content, "lstrip": false, "normalized": false, "rstrip": false,
            "single_word": false, "special": special,
        })
    };
    assert_eq!(
        serde_json::Value::from(text.tokenizer_config.unwrap()),
        json!({
            "added_tokens_decoder": {
                "261": added("<|start|>", true),
                "262": added("<|tool|>", false),
            },
            "bos_token": "<|start|>",
            "chat_template": "{{ messages }}",
            "clean_up_tokenization_spaces": false,
            "eos_token": "<|start|>",
            "model_max_length": 512,
            "pad_token": "<|tool|>",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "Ā",
        })
    );
    assert_eq!(text.chat_template.as_deref(), Some("{{ messages }}"));
}

#[test]
fn further_templates_are_kept_by_name() {
    let mut gguf = small_gguf("llama");
    gguf.set("tokenizer.chat_template.rag", Meta::text("r"));
    gguf.set("tokenizer.chat_templates", Meta::Texts(vec!["rag".into()]));
    let text = text_files(&gguf);
    assert_eq!(text.additional_chat_templates[0].name, "rag");
    assert_eq!(
        text.tokenizer_config.unwrap()["chat_template"],
        json!([
            { "name": "default", "template": "{{ messages }}" },
            { "name": "rag", "template": "r" },
        ])
    );
}

#[test]
fn a_model_without_a_template_has_none() {
    let mut gguf = small_gguf("llama");
    gguf.remove("tokenizer.chat_template");
    let text = text_files(&gguf);
    assert_eq!(text.chat_template, None);
    assert_eq!(text.tokenizer_config.unwrap().get("chat_template"), None);
}

#[test]
fn faults_are_named() {
    let vocab = byte_vocab();
    let message_for =
        |key: &str, value: Meta| message(|gguf| gguf.set(&format!("tokenizer.{key}"), value));
    let mut twice = vocab.clone();
    twice[3] = twice[4].clone();
    for (key, value, expected) in [
        ("ggml.tokens", Meta::Texts(vec![]), "tokens is empty"),
        ("ggml.tokens", Meta::Texts(twice), "tokens 3 and 4 are both"),
        (
            "ggml.token_type",
            Meta::I32s(vec![1]),
            "1 elements for 263 tokens",
        ),
        (
            "ggml.merges",
            Meta::Texts(vec!["ab".into()]),
            "not two tokens and a space",
        ),
        (
            "ggml.merges",
            Meta::Texts(vec!["a b c".into()]),
            "not two tokens and a space",
        ),
        (
            "ggml.merges",
            Meta::Texts(vec!["a b".into()]),
            "names or makes no token",
        ),
        (
            "ggml.merges",
            Meta::Texts(vec!["あ b".into()]),
            "names or makes no token",
        ),
        (
            "ggml.bos_token_id",
            Meta::U32(263),
            "tokenizer.ggml.bos_token_id",
        ),
        (
            "ggml.eos_token_id",
            Meta::text("x"),
            "tokenizer.ggml.eos_token_id",
        ),
        (
            "ggml.add_bos_token",
            Meta::U32(1),
            "must be a boolean, and is u32",
        ),
        (
            "chat_template",
            Meta::U32(1),
            "must be a string, and is u32",
        ),
    ] {
        let message = message_for(key, value);
        assert!(message.contains(expected), "{key}: {message}");
    }
}

#[test]
fn the_file_is_one_that_the_tokenizers_library_writes_alike() {
    let written = text_files(&small_gguf("llama")).tokenizer_json;
    let tokenizer: Tokenizer = written.parse().unwrap();
    let rewritten = json_of(&tokenizer.to_string(false).unwrap());
    for part in [
        "added_tokens",
        "normalizer",
        "pre_tokenizer",
        "decoder",
        "post_processor",
    ] {
        assert_eq!(json_of(&written)[part], rewritten[part], "{part}");
    }
}

proptest! {
    /// Byte-level tokenizers lose nothing (Qwen's normalizes, and is left out).
    #[test]
    fn any_text_comes_back(
        text in "(\\PC|[ \\t\\r\\n'0-9a]|\\p{Han}|\\p{Emoji}){0,40}",
        pre in proptest::sample::select(vec!["gpt-2", "smollm", "llama-bpe", "default"]),
    ) {
        let tokenizer = with_pre(pre);
        let ids = tokenizer.encode(text.as_str(), true).unwrap().get_ids().to_vec();
        prop_assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
}
