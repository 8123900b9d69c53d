//! Small tokenizers, written as `tokenizer.json` is.

use engine_runtime::{TextPipeline, TextSources};
use serde_json::{Map, Value, json};

/// Begins a text.
pub(crate) const BOS: u32 = 0;
/// Ends a text.
pub(crate) const EOS: u32 = 1;

/// The characters that stand for the 256 bytes in byte-level vocabularies.
fn byte_characters() -> Vec<char> {
    let mut other = 0x100_u32..;
    (0..=255_u32)
        .map(|byte| match byte {
            0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => char::from_u32(byte),
            _ => other.next().and_then(char::from_u32),
        })
        .map(|character| character.expect("a character"))
        .collect()
}

fn added(id: u32, content: &str, special: bool) -> Value {
    json!({
        "id": id, "content": content, "special": special, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false,
    })
}

/// Puts the beginning of a text in front of it.
fn add_bos() -> Value {
    json!({
        "type": "TemplateProcessing",
        "single": [
            { "SpecialToken": { "id": "<s>", "type_id": 0 } },
            { "Sequence": { "id": "A", "type_id": 0 } },
        ],
        "pair": [
            { "Sequence": { "id": "A", "type_id": 0 } },
            { "Sequence": { "id": "B", "type_id": 0 } },
        ],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [BOS], "tokens": ["<s>"] } },
    })
}

/// A byte-level BPE as GPT-2's: `<s>`, `</s>`, the 256 bytes, a few merges (among them one that
/// ends inside a character), and one added token that is not special.
pub(crate) fn byte_level() -> Value {
    let mut vocab = Map::new();
    let mut push = |piece: String| {
        let id = vocab.len();
        vocab.insert(piece, json!(id));
    };
    push("<s>".into());
    push("</s>".into());
    let bytes = byte_characters();
    for byte in &bytes {
        push(byte.to_string());
    }
    let pieces = |bytes_of: &[u8]| -> String {
        bytes_of
            .iter()
            .map(|byte| bytes[usize::from(*byte)])
            .collect()
    };
    let mut merges = Vec::new();
    for (left, right) in [
        (&b"t"[..], &b"h"[..]),
        (b"th", b"e"),
        (b" ", b"the"),
        (b"a", b"n"),
        // The first half of many emoji.
        (b"\xF0", b"\x9F"),
        (b"\xF0\x9F", b"\x99"),
    ] {
        merges.push(json!([pieces(left), pieces(right)]));
        push(pieces(&[left, right].concat()));
    }
    let call = vocab.len() as u32;
    json!({
        "version": "1.0",
        "added_tokens": [
            added(BOS, "<s>", true), added(EOS, "</s>", true), added(call, "<call>", false),
        ],
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": add_bos(),
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "vocab": vocab, "merges": merges },
    })
}

/// The vocabulary with more tokens at its end, which `special` says of each to be or not.
pub(crate) fn with_tokens(mut tokenizer: Value, more: &[(&str, bool)]) -> Value {
    let vocab = tokenizer["model"]["vocab"]
        .as_object_mut()
        .expect("a vocabulary");
    let begin = vocab.len() as u32;
    let ids: Vec<_> = (begin..).take(more.len()).collect();
    for ((token, _), id) in more.iter().zip(&ids) {
        vocab.insert((*token).to_owned(), json!(id));
    }
    let all = tokenizer["added_tokens"].as_array_mut().expect("tokens");
    all.retain(|token| token["id"].as_u64() < Some(u64::from(begin)));
    all.extend(
        more.iter()
            .zip(ids)
            .map(|((token, special), id)| added(id, token, *special)),
    );
    tokenizer
}

/// A BPE with byte fallback as Llama 2's, with the given decoder: `<s>`, `</s>`, `<unk>`, the 256
/// bytes, letters, marks for spaces and a few merges.
pub(crate) fn byte_fallback(decoder: &Value) -> Value {
    let mut vocab = Map::new();
    let mut push = |piece: &str| {
        let id = vocab.len();
        vocab.insert(piece.to_owned(), json!(id));
    };
    ["<s>", "</s>", "<unk>"].into_iter().for_each(&mut push);
    (0..=255).for_each(|byte| push(&format!("<0x{byte:02X}>")));
    ('a'..='z').for_each(|letter| push(&letter.to_string()));
    ["▁", "▁▁", "▁t", "th", "the", "▁the", "é", ".", "!", "'"]
        .into_iter()
        .for_each(&mut push);
    json!({
        "version": "1.0",
        "added_tokens": [added(BOS, "<s>", true), added(EOS, "</s>", true), added(2, "<unk>", true)],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ]},
        "post_processor": add_bos(),
        "decoder": decoder,
        "model": {
            "type": "BPE", "vocab": vocab, "unk_token": "<unk>", "fuse_unk": true,
            "byte_fallback": true,
            "merges": [["▁", "▁"], ["t", "h"], ["th", "e"], ["▁", "the"], ["▁", "t"]],
        },
    })
}

/// The decoder of Llama 2.
pub(crate) fn llama_decoder() -> Value {
    json!({ "type": "Sequence", "decoders": [
        { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
        { "type": "ByteFallback" },
        { "type": "Fuse" },
        { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
    ]})
}

/// A pipeline of a tokenizer alone.
pub(crate) fn pipeline(tokenizer: &Value) -> TextPipeline {
    TextPipeline::new(TextSources {
        tokenizer_json: &tokenizer.to_string(),
        ..TextSources::default()
    })
    .expect("a pipeline")
}

/// Ids of a vocabulary, and a few beyond it.
pub(crate) fn id_range(tokenizer: &Value) -> std::ops::Range<u32> {
    0..tokenizer["model"]["vocab"]
        .as_object()
        .expect("a vocabulary")
        .len() as u32
        + 4
}
