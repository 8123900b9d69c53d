//! The mock's tokens: a byte-level BPE vocabulary, and the `tokenizer.json` that describes it.

use std::{collections::BTreeMap, sync::OnceLock};

use engine_core::TokenId;
use serde_json::{Value, json};

/// Ids 0 to 255 are the bytes themselves.
const BYTES: usize = 256;

/// Words that are one token, with the space before them. Any other text is split into bytes where
/// it leaves the beginnings of these.
const WORDS: &[&str] = &[
    "the",
    "and",
    "of",
    "to",
    "in",
    "is",
    "that",
    "it",
    "with",
    "for",
    "on",
    "as",
    "are",
    "was",
    "this",
    "not",
    "but",
    "from",
    "or",
    "one",
    "all",
    "when",
    "which",
    "there",
    "their",
    "more",
    "some",
    "time",
    "like",
    "only",
    "into",
    "over",
    "after",
    "new",
    "day",
    "way",
    "water",
    "river",
    "sea",
    "wind",
    "rain",
    "snow",
    "stone",
    "sand",
    "light",
    "night",
    "morning",
    "evening",
    "winter",
    "summer",
    "mountain",
    "valley",
    "forest",
    "garden",
    "harbour",
    "island",
    "city",
    "house",
    "road",
    "bridge",
    "window",
    "door",
    "letter",
    "story",
    "song",
    "voice",
    "word",
    "colour",
    "green",
    "blue",
    "quiet",
    "bright",
    "small",
    "large",
    "old",
    "young",
    "slow",
    "early",
    "late",
    "near",
    "far",
    "walks",
    "sails",
    "grows",
    "falls",
    "turns",
    "begins",
    "ends",
    "waits",
    "carries",
    "remembers",
    "follows",
    "crosses",
    "answers",
    "listens",
    "opens",
];

/// Texts whose characters take several tokens each, so that tokens split characters.
const SYMBOLS: &[&str] = &[" 🌊", " 🌲", " 🦀", " 🚢", " 海", " 船", " 雨", " é", " ♪"];

/// Ends a message of a chat.
pub(crate) const MESSAGE_END: &str = "<|im_end|>";
const SPECIAL: [&str; 8] = [
    "<|im_start|>",
    MESSAGE_END,
    "<|endoftext|>",
    "<|answer|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
];

/// What the template writes before an answer, behind the token that starts a message.
pub(crate) const ANSWER_HEADER: &str = "assistant\n";

/// What the template writes behind that header where thinking is off.
pub(crate) const NO_THINKING: &str = "<think>\n\n</think>\n\n";

/// `ChatML`, with tools and thoughts as Qwen 3 has them.
pub(crate) const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");

/// The tokens, by id and by use.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// The bytes of each token; those of a special token are its name.
    pieces: Vec<Vec<u8>>,
    /// The left and right part of each token that is not a byte, in order of their rank.
    merges: Vec<(TokenId, TokenId)>,
    /// The words of [`WORDS`].
    pub(crate) words: Vec<TokenId>,
    /// The tokens of each of [`SYMBOLS`].
    pub(crate) symbols: Vec<Vec<TokenId>>,
    /// Starts a message of a chat.
    pub(crate) message_start: TokenId,
    /// Ends a message of a chat, and so the answer.
    pub(crate) message_end: TokenId,
    /// Ends a text.
    pub(crate) text_end: TokenId,
    /// Begins a scripted answer to a plain text.
    pub(crate) answer_start: TokenId,
    /// Ends a thought.
    pub(crate) thought_end: TokenId,
}

impl Vocabulary {
    /// The one vocabulary of all mocks.
    pub(crate) fn get() -> &'static Self {
        static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
        VOCABULARY.get_or_init(Self::build)
    }

    /// Joins each word from its left: a token for each of its beginnings.
    fn build() -> Self {
        let mut pieces: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        let mut merges = Vec::new();
        let mut ids = BTreeMap::<(TokenId, u8), TokenId>::new();
        let mut words = Vec::with_capacity(WORDS.len());
        for word in WORDS {
            let mut token = TokenId::from(b' ');
            for byte in word.bytes() {
                token = *ids.entry((token, byte)).or_insert_with(|| {
                    let mut piece = pieces[token as usize].clone();
                    piece.push(byte);
                    pieces.push(piece);
                    merges.push((token, TokenId::from(byte)));
                    (pieces.len() - 1) as TokenId
                });
            }
            words.push(token);
        }
        let special = pieces.len() as TokenId;
        pieces.extend(SPECIAL.map(|name| name.as_bytes().to_vec()));
        let bytes = |symbol: &&str| symbol.bytes().map(TokenId::from).collect();
        Self {
            pieces,
            merges,
            words,
            symbols: SYMBOLS.iter().map(bytes).collect(),
            message_start: special,
            message_end: special + 1,
            text_end: special + 2,
            answer_start: special + 3,
            thought_end: special + 5,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The bytes of a token; none of an id that the vocabulary does not have.
    pub(crate) fn bytes(&self, token: TokenId) -> &[u8] {
        self.pieces
            .get(token as usize)
            .map_or(&[], |piece| piece.as_slice())
    }

    /// The content of `tokenizer.json`.
    pub(crate) fn tokenizer_json(&self) -> String {
        let piece = |id: TokenId| -> String {
            let bytes = self.bytes(id);
            bytes.iter().map(|byte| stand_in(*byte)).collect()
        };
        let learned = BYTES + self.merges.len();
        let vocab: serde_json::Map<_, _> = (0..learned)
            .map(|id| (piece(id as TokenId), Value::from(id)))
            .collect();
        let merges: Vec<_> = self
            .merges
            .iter()
            .map(|(left, right)| json!([piece(*left), piece(*right)]))
            .collect();
        let added: Vec<_> = (learned..)
            .zip(SPECIAL)
            .map(|(id, content)| {
                json!({
                    "id": id, "content": content, "special": true, "normalized": false,
                    "single_word": false, "lstrip": false, "rstrip": false,
                })
            })
            .collect();
        let byte_level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        });
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": byte_level,
            "post_processor": null,
            "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null,
                "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocab, "merges": merges,
            },
        })
        .to_string()
    }
}

/// The character that stands for a byte in byte-level pieces (`bytes_to_unicode` of GPT-2):
/// printable Latin-1 stands for itself, and the other 68 bytes, in order, are U+0100 and on.
fn stand_in(byte: u8) -> char {
    let is_printable = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    if is_printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !is_printable(*other)).count();
    char::from_u32(0x100 + before as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}
