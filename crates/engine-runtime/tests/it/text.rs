//! The text pipeline: special tokens, end-of-text tokens, chats, and files that are wrong.

use engine_core::{Error, Message};
use engine_runtime::{TextPipeline, TextSources};
use serde_json::{Value, json};

use crate::tokenizers::{BOS, EOS, byte_fallback, byte_level, llama_decoder, pipeline};

/// A pipeline of a byte-level tokenizer and these files.
fn with_files(
    tokenizer_config: &Value,
    config: &Value,
    generation_config: &Value,
) -> engine_core::Result<TextPipeline> {
    TextPipeline::new(TextSources {
        tokenizer_json: &byte_level().to_string(),
        tokenizer_config: tokenizer_config.as_object(),
        chat_template: None,
        config: config.as_object(),
        generation_config: generation_config.as_object(),
    })
}

fn byte(letter: u8) -> u32 {
    u32::from(letter) + 2
}

#[test]
fn a_prompt_gets_special_tokens_unless_it_begins_with_them() {
    let text = with_files(&json!({ "bos_token": "<s>" }), &Value::Null, &Value::Null).unwrap();
    assert_eq!(
        text.encode_prompt("hi").unwrap(),
        [BOS, byte(b'h'), byte(b'i')]
    );
    assert_eq!(
        text.encode_prompt("<s>hi").unwrap(),
        [BOS, byte(b'h'), byte(b'i')]
    );
    assert_eq!(text.encode("hi", false).unwrap(), [byte(b'h'), byte(b'i')]);
    // Without a named beginning the tokenizer's own rule holds.
    let text = with_files(&Value::Null, &Value::Null, &Value::Null).unwrap();
    assert_eq!(
        text.encode_prompt("<s>hi").unwrap(),
        [BOS, BOS, byte(b'h'), byte(b'i')]
    );
}

#[test]
fn decoding_leaves_special_and_unknown_tokens_out() {
    let text = pipeline(&byte_level());
    let tokens = [BOS, byte(b'h'), EOS, 4_000_000_000, byte(b'i')];
    assert_eq!(text.decode(&tokens).unwrap(), "hi");
    assert_eq!(text.decode(&[]).unwrap(), "");
    assert_eq!(text.decode(&[EOS]).unwrap(), "");
}

#[test]
fn truncation_and_padding_of_the_file_are_not_applied() {
    let mut tokenizer = byte_level();
    tokenizer["truncation"] = json!({
        "max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right",
    });
    tokenizer["padding"] = json!({
        "strategy": { "Fixed": 64 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 1, "pad_type_id": 0, "pad_token": "</s>",
    });
    let tokens = pipeline(&tokenizer).encode("xyzxyz", true).unwrap();
    assert_eq!(tokens.len(), 7);
}

#[test]
fn end_of_text_is_what_any_file_names() {
    let eos = |tokenizer_config, config, generation_config| {
        with_files(&tokenizer_config, &config, &generation_config)
            .unwrap()
            .eos_tokens()
            .to_vec()
    };
    assert_eq!(eos(json!({}), json!({}), json!({})), [0; 0]);
    assert_eq!(
        eos(json!({}), json!({ "eos_token_id": 7 }), Value::Null),
        [7]
    );
    assert_eq!(
        eos(
            json!({ "eos_token": { "content": "</s>" } }),
            json!({ "eos_token_id": [9, 7] }),
            json!({ "eos_token_id": [7, 200] }),
        ),
        [EOS, 7, 9, 200]
    );
    assert_eq!(
        eos(
            json!({ "eos_token": "<call>" }),
            json!({ "eos_token_id": null }),
            json!({})
        ),
        [264]
    );
    // A row of the model that the tokenizer does not know.
    assert_eq!(
        eos(
            json!({}),
            json!({ "eos_token_id": 300, "vocab_size": 301 }),
            json!({})
        ),
        [300]
    );
}

#[test]
fn a_wrong_end_of_text_is_an_error_naming_its_file() {
    let cases = [
        (
            "config.json",
            json!({}),
            json!({ "eos_token_id": 300 }),
            json!({}),
        ),
        (
            "config.json",
            json!({}),
            json!({ "eos_token_id": 300, "vocab_size": 300 }),
            json!({}),
        ),
        (
            "config.json",
            json!({}),
            json!({ "eos_token_id": -1 }),
            json!({}),
        ),
        (
            "config.json",
            json!({}),
            json!({ "eos_token_id": "two" }),
            json!({}),
        ),
        (
            "config.json",
            json!({}),
            json!({ "eos_token_id": [1, 2.5] }),
            json!({}),
        ),
        (
            "config.json",
            json!({}),
            json!({ "eos_token_id": u64::MAX }),
            json!({}),
        ),
        (
            "generation_config.json",
            json!({}),
            json!({}),
            json!({ "eos_token_id": [1, 265] }),
        ),
        (
            "tokenizer_config.json",
            json!({ "eos_token": "<|nowhere|>" }),
            json!({}),
            json!({}),
        ),
        (
            "tokenizer_config.json",
            json!({ "eos_token": 2 }),
            json!({}),
            json!({}),
        ),
        (
            "tokenizer_config.json",
            json!({ "bos_token": { "id": 1 } }),
            json!({}),
            json!({}),
        ),
    ];
    for (file, tokenizer_config, config, generation_config) in cases {
        match with_files(&tokenizer_config, &config, &generation_config) {
            Err(Error::InvalidModel { path, .. }) => assert!(path.ends_with(file), "{path:?}"),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn a_tokenizer_file_that_is_wrong_is_an_error() {
    let whole = byte_level().to_string();
    let mut bad_merge = byte_level();
    bad_merge["model"]["merges"] = json!([["no", "where"]]);
    let mut bad_regex = byte_level();
    bad_regex["pre_tokenizer"] = json!({
        "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false,
    });
    let mut bad_kind = byte_level();
    bad_kind["decoder"] = json!({ "type": "Telepathy" });
    let mut no_decoder_fields = byte_level();
    no_decoder_fields["decoder"] = json!({ "type": "Strip" });
    let mut negative_ids = byte_level();
    negative_ids["model"]["vocab"]["a"] = json!(-4);
    for json in [
        "",
        "{}",
        "null",
        "[1, 2",
        "\u{feff}",
        &"[".repeat(100_000),
        whole.split_at(whole.find("<call>").unwrap()).0,
        &bad_merge.to_string(),
        &bad_regex.to_string(),
        &bad_kind.to_string(),
        &no_decoder_fields.to_string(),
        &negative_ids.to_string(),
    ] {
        let outcome = TextPipeline::new(TextSources {
            tokenizer_json: json,
            ..TextSources::default()
        });
        assert!(
            matches!(&outcome, Err(Error::Tokenizer { reason }) if reason.contains("tokenizer.json")),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_decoder_on_which_the_library_panics_is_no_panic_here() {
    // Stripping more characters from the back than a token has.
    let decoder = json!({ "type": "Strip", "content": "a", "start": 0, "stop": 3 });
    let text = pipeline(&byte_fallback(&decoder));
    let a = text.encode("a", false).unwrap();
    assert!(matches!(text.decode(&a), Err(Error::Tokenizer { .. })));
}

#[test]
fn a_chat_is_rendered_with_the_special_tokens_of_the_files() {
    let config = json!({
        "bos_token": "<s>",
        "eos_token": { "content": "</s>" },
        "chat_template": "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token }}{% endfor %}",
    });
    let text = with_files(&config, &Value::Null, &Value::Null).unwrap();
    assert!(text.has_chat_template());
    let chat = [Message::user("hi"), Message::assistant("yes")];
    assert_eq!(
        text.render_chat(&chat).unwrap(),
        "<s>user:hi</s>assistant:yes</s>"
    );
}

#[test]
fn without_a_template_a_chat_is_an_error() {
    let text = pipeline(&byte_fallback(&llama_decoder()));
    assert!(!text.has_chat_template());
    let outcome = text.render_chat(&[Message::user("hi")]);
    assert!(matches!(outcome, Err(Error::ChatTemplate { .. })));
}

#[test]
fn a_template_that_does_not_compile_is_an_error_when_loading() {
    let config = json!({ "chat_template": "{% for %}" });
    let outcome = with_files(&config, &Value::Null, &Value::Null);
    assert!(matches!(outcome, Err(Error::ChatTemplate { .. })));
}
