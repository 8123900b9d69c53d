//! Prompts that were tokenized before: of a chat that goes on, only what is new is tokenized.
//!
//! A tokenizer cuts a text at its special tokens before it looks at anything else, so that what lies
//! on one side of such a cut is tokenized alike whatever lies on the other. Only tokens whose cut is
//! certain count: matched literally, without looking at their neighbours, and with a first character
//! that occurs nowhere else in any added token, so that no other match can reach across.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use engine_core::{Result, TokenId};
use tokenizers::AddedToken;

use super::tokenizer::Tokenizer;

/// So many prompts are remembered.
const PROMPTS: usize = 8;
/// Prompts beyond this many bytes are forgotten, the oldest first.
const BYTES: usize = 8 << 20;

/// Tokenizes prompts, and remembers the latest ones.
#[derive(Debug)]
pub(crate) struct KnownPrompts {
    tokenizer: Arc<Tokenizer>,
    /// The special tokens at which a text can be cut.
    separators: HashMap<TokenId, String>,
    /// The latest last.
    recent: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    text: String,
    tokens: Vec<TokenId>,
    /// Where separators begin.
    cuts: Vec<Cut>,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    byte: usize,
    /// The byte behind the separator.
    end: usize,
    token: usize,
}

impl KnownPrompts {
    pub(super) fn new(tokenizer: Arc<Tokenizer>) -> Self {
        let added = tokenizer.added_tokens();
        let is_certain = |token: &AddedToken| {
            let literal = token.special && !token.normalized && !token.single_word && !token.lstrip;
            literal
                && token.content.chars().next().is_some_and(|first| {
                    added.values().all(|other| {
                        other.content.rfind(first).unwrap_or(0) == 0
                            && (other.content == token.content
                                || !other.content.starts_with(&token.content))
                    })
                })
        };
        let separators = added
            .iter()
            .filter(|(_, token)| is_certain(token))
            .map(|(id, token)| (*id, token.content.clone()))
            .collect();
        Self {
            tokenizer,
            separators,
            recent: VecDeque::new(),
        }
    }

    /// Tokens of a text, without special tokens added to it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn encode(&mut self, text: &str) -> Result<Vec<TokenId>> {
        let (byte, mut tokens) = self.known_start(text);
        let new = self.tokenizer.encode(&text[byte..], false)?;
        tokens.extend(new);
        self.remember(text, &tokens);
        Ok(tokens)
    }

    /// The longest start that needs no tokenizing: its length and its tokens.
    fn known_start(&self, text: &str) -> (usize, Vec<TokenId>) {
        let longest = self
            .recent
            .iter()
            .filter_map(|known| {
                let equal = common_prefix(known.text.as_bytes(), text.as_bytes());
                let cuts = known.cuts.partition_point(|cut| cut.end <= equal);
                let cut = known.cuts.get(cuts.checked_sub(1)?)?;
                Some((cut.byte, &known.tokens[..cut.token]))
            })
            .max_by_key(|(byte, _)| *byte);
        longest.map_or((0, Vec::new()), |(byte, tokens)| (byte, tokens.to_vec()))
    }

    /// Where separators begin, in ascending order.
    fn cuts(&self, text: &str, tokens: &[TokenId]) -> Vec<Cut> {
        let mut places: HashMap<TokenId, Vec<usize>> = HashMap::new();
        for (place, token) in tokens.iter().enumerate() {
            if self.separators.contains_key(token) {
                places.entry(*token).or_default().push(place);
            }
        }
        let mut cuts = Vec::new();
        for (token, places) in places {
            let content = self.separators[&token].as_str();
            let found: Vec<_> = text.match_indices(content).collect();
            // A token that also stands for other text, as one for unknown characters, separates
            // nothing.
            if found.len() == places.len() {
                cuts.extend(found.iter().zip(places).map(|((byte, _), token)| Cut {
                    byte: *byte,
                    end: byte + content.len(),
                    token,
                }));
            }
        }
        cuts.sort_unstable_by_key(|cut| cut.byte);
        cuts
    }

    fn remember(&mut self, text: &str, tokens: &[TokenId]) {
        if text.len() > BYTES {
            return;
        }
        let cuts = self.cuts(text, tokens);
        // The text goes on where an earlier one ended.
        let last = cuts.last().map_or(0, |cut| cut.end);
        self.recent.retain(|known| {
            let common = common_prefix(known.text.as_bytes(), text.as_bytes());
            known
                .cuts
                .last()
                .is_some_and(|cut| cut.end > common.min(last))
        });
        if cuts.is_empty() {
            return;
        }
        self.recent.push_back(Known {
            text: text.to_owned(),
            tokens: tokens.to_vec(),
            cuts,
        });
        let mut bytes: usize = self.recent.iter().map(|known| known.text.len()).sum();
        while self.recent.len() > PROMPTS || bytes > BYTES {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            bytes -= oldest.text.len();
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn added(id: u32, content: &str, change: impl Fn(&mut Value)) -> Value {
        let mut token = json!({
            "id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false,
        });
        change(&mut token);
        token
    }

    /// Words with a mark before them, which a text gets at its beginning alone.
    fn tokenizer() -> Arc<Tokenizer> {
        let mut vocab: Vec<Value> = vec![json!(["<unk>", 0.0])];
        for piece in [
            "▁", "a", "b", "▁a", "▁ab", "ab", "ba", "\n", "<", ">", "s", "e", "x", "|",
        ] {
            vocab.push(json!([piece, -1.0 - vocab.len() as f64 * 0.1]));
        }
        let json = json!({
            "version": "1.0",
            "added_tokens": [
                added(0, "<unk>", |_| ()),
                added(20, "<s>", |_| ()),
                added(21, "<e>", |token| token["rstrip"] = json!(true)),
                added(22, "[left]", |token| token["lstrip"] = json!(true)),
                added(23, "[word]", |token| token["single_word"] = json!(true)),
                added(24, "x|", |_| ()),
                added(25, "|x|x", |_| ()),
                added(26, "{a", |_| ()),
                added(27, "{ab", |_| ()),
            ],
            "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true },
            "decoder": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true },
            "model": { "type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": false },
        });
        Arc::new(Tokenizer::from_json(&json.to_string()).expect("a tokenizer"))
    }

    fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
        let piece = prop::sample::select(vec![
            "<s>", "<e>", "[left]", "[word]", "x|", "|x|x", "{a", "{ab", "<unk>", "a", "b", "ab",
            " ", "\n", "<", ">", "s>", "é",
        ]);
        prop::collection::vec(piece, 0..12)
    }

    #[test]
    fn only_tokens_with_certain_borders_are_separators() {
        let prompts = KnownPrompts::new(tokenizer());
        let mut names: Vec<_> = prompts.separators.values().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["<e>", "<s>", "<unk>", "{ab"]);
    }

    #[test]
    fn a_chat_that_goes_on_is_tokenized_from_its_last_separator() {
        let mut prompts = KnownPrompts::new(tokenizer());
        let first = "<s>a b<e>\n<s>ab";
        prompts.encode(first).expect("tokens");
        let (byte, tokens) = prompts.known_start("<s>a b<e>\n<s>ab ab<e>");
        assert_eq!(byte, first.rfind("<s>").expect("a separator"));
        assert_eq!(
            tokens,
            prompts
                .tokenizer
                .encode(&first[..byte], false)
                .expect("tokens")
        );
        prompts
            .encode("<s>a b<e>\n<s>ab ab<e>\n<s>")
            .expect("tokens");
        assert_eq!(prompts.recent.len(), 1, "the longer one stands for both");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn what_is_known_changes_no_token(
            start in pieces(),
            changes in prop::collection::vec((0_usize..12, pieces()), 0..6),
        ) {
            let tokenizer = tokenizer();
            let mut prompts = KnownPrompts::new(Arc::clone(&tokenizer));
            let mut text = start;
            for (keep, more) in changes {
                let joined = text.concat();
                prop_assert_eq!(
                    prompts.encode(&joined).expect("tokens"),
                    tokenizer.encode(&joined, false).expect("tokens")
                );
                text.truncate(keep);
                text.extend(more);
            }
        }
    }
}
