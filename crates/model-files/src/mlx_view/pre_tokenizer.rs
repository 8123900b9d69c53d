//! How text is cut before byte-pair merging, by the name that GGUF files give it.
//!
//! The names are llama.cpp's (`llama-vocab.cpp`). The cutting follows the `tokenizer.json` of
//! the model for which llama.cpp made the name, except for `default`, which is llama.cpp's own.

use serde_json::{Value, json};

/// What a `tokenizer.ggml.pre` stands for.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    /// `normalizer` of `tokenizer.json`.
    pub(super) normalizer: Value,
    /// `pre_tokenizer` of `tokenizer.json`.
    pub(super) steps: Value,
    /// A piece that is itself a token is taken whole, without merging.
    pub(super) ignore_merges: bool,
    /// Whether a text begins with the BOS token, where the file does not say.
    pub(super) add_bos: bool,
}

/// The names, for the message about one that is not among them.
pub(super) const KNOWN: &str =
    "default, gpt-2, smollm, starcoder, llama-bpe, llama3, llama-v3, qwen2, deepseek-r1-qwen";

/// Llama 3's: contractions in either case, up to three digits together.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's: the same with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-2's, which the tokenizers library calls `ByteLevel` and needs spelt out only in `default`.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// The steps of llama.cpp's `default` before and after GPT-2's.
const DEFAULT_PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const DEFAULT_NUMBERS: &str = r"\p{N}+";
const DEFAULT_THREE_DIGITS: &str = r"[0-9][0-9][0-9]";

/// What the name stands for; `None` if it is not known.
pub(super) fn named(name: &str) -> Option<PreTokenizer> {
    let plain = PreTokenizer {
        normalizer: Value::Null,
        steps: Value::Null,
        ignore_merges: false,
        add_bos: false,
    };
    Some(match name {
        "gpt-2" => PreTokenizer {
            steps: byte_level(true),
            ..plain
        },
        "smollm" | "starcoder" => PreTokenizer {
            steps: sequence(&[
                json!({ "type": "Digits", "individual_digits": true }),
                byte_level(true),
            ]),
            ..plain
        },
        "llama-bpe" | "llama3" | "llama-v3" => PreTokenizer {
            steps: sequence(&[split(LLAMA3), byte_level(false)]),
            ignore_merges: true,
            add_bos: true,
            ..plain
        },
        "qwen2" | "deepseek-r1-qwen" => PreTokenizer {
            normalizer: json!({ "type": "NFC" }),
            steps: sequence(&[split(QWEN2), byte_level(false)]),
            ..plain
        },
        "default" => PreTokenizer {
            steps: sequence(&[
                split(DEFAULT_PUNCTUATION),
                split(GPT2),
                split(DEFAULT_NUMBERS),
                split(DEFAULT_THREE_DIGITS),
                byte_level(false),
            ]),
            ..plain
        },
        _ => return None,
    })
}

/// Bytes as printable characters, optionally cut in GPT-2's way.
fn byte_level(cut: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": true,
        "use_regex": cut,
    })
}

/// Matches become pieces, and so does what lies between them.
fn split(pattern: &str) -> Value {
    json!({
        "type": "Split",
        "pattern": { "Regex": pattern },
        "behavior": "Isolated",
        "invert": false,
    })
}

fn sequence(steps: &[Value]) -> Value {
    json!({ "type": "Sequence", "pretokenizers": steps })
}
