//! A byte-level vocabulary of 150,000 tokens in the manner of a language model's: words with and
//! without a space before them, numbers, punctuation.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// Tokens.
pub(crate) const SIZE: usize = 150_000;
/// Ends a text.
pub(crate) const EOS: u32 = 0;

const SYLLABLES: [&str; 32] = [
    "an", "be", "ca", "de", "er", "fo", "ga", "he", "in", "jo", "ka", "le", "mi", "no", "on", "pa",
    "qui", "re", "st", "ti", "un", "ver", "wa", "xe", "ly", "zo", "th", "sh", "ing", "ed", "tion",
    "al",
];

/// The content of `tokenizer.json`.
pub(crate) fn tokenizer_json() -> Value {
    let mut pieces: Vec<String> = vec!["<|end|>".to_owned()];
    pieces.extend(byte_characters().map(String::from));
    let mut seen: HashSet<String> = pieces.iter().cloned().collect();
    let mut add = |piece: String| {
        if pieces.len() < SIZE && seen.insert(piece.clone()) {
            pieces.push(piece);
        }
        pieces.len() < SIZE
    };
    for number in 0..1000 {
        add(number.to_string());
    }
    for left in ["", " ", "Ġ", "\"", "{", "[", "}", "]", ",", ":"] {
        for right in [
            "\"", "\",", "\":", "{", "}", "[", "]", "},", "],", "\"}", ":", ",",
        ] {
            add(format!("{left}{right}").replace(' ', "Ġ"));
        }
    }
    let mut index = 0_usize;
    loop {
        let mut rest = index;
        let mut word = String::new();
        loop {
            word.push_str(SYLLABLES[rest % SYLLABLES.len()]);
            rest /= SYLLABLES.len();
            if rest == 0 {
                break;
            }
        }
        let capital = word[..1].to_uppercase() + &word[1..];
        let more = add(format!("Ġ{word}")) && add(word) && add(format!("Ġ{capital}"));
        if !more {
            break;
        }
        index += 1;
    }
    let vocab: Map<String, Value> = pieces
        .into_iter()
        .enumerate()
        .map(|(id, piece)| (piece, json!(id)))
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": [{
            "id": EOS, "content": "<|end|>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false,
        }],
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "vocab": vocab, "merges": [] },
    })
}

/// The characters that stand for the 256 bytes.
fn byte_characters() -> impl Iterator<Item = char> {
    let mut other = 0x100_u32..;
    (0..=255_u32).map(move |byte| {
        let code = match byte {
            0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => Some(byte),
            _ => other.next(),
        };
        code.and_then(char::from_u32).unwrap_or_default()
    })
}
