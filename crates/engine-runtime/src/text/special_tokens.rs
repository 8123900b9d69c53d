//! The special tokens that `tokenizer_config.json` names.

use std::path::PathBuf;

use engine_core::{Error, Result};
use serde_json::{Map, Value};

/// The entries that hold one special token each.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Special tokens by the name of their entry.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    tokens: Vec<(&'static str, String)>,
}

impl SpecialTokens {
    /// Reads each entry: a text, or an object with the text under `content`. `null` is no token.
    pub(super) fn from_config(config: Option<&Map<String, Value>>) -> Result<Self> {
        let Some(config) = config else {
            return Ok(Self::default());
        };
        let mut tokens = Vec::new();
        for name in NAMES {
            let text = match config.get(name) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => Some(text),
                Some(Value::Object(object)) => match object.get("content") {
                    Some(Value::String(text)) => Some(text),
                    _ => None,
                },
                Some(_) => None,
            };
            let text = text.ok_or_else(|| Error::InvalidModel {
                path: PathBuf::from("tokenizer_config.json"),
                reason: format!(
                    "{name} must be a text, or an object with a text under \"content\""
                ),
            })?;
            tokens.push((name, text.clone()));
        }
        Ok(Self { tokens })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(known, token)| (known == name).then_some(token))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.tokens
            .iter()
            .map(|(name, token)| (*name, token.as_str()))
    }
}
