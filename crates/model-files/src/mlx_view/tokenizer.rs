//! `tokenizer.json` and `tokenizer_config.json` from GGUF metadata.
//!
//! The metadata holds a byte-level BPE tokenizer completely: tokens, their kinds, the merges in
//! order, and the name of the pre-tokenizer. Lost on the way into GGUF are only the flags
//! `lstrip` and `rstrip` of added tokens, which are taken to be false.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{
    config::Hyperparameters,
    pre_tokenizer::{self, PreTokenizer},
};
use crate::{
    FilesError, TextFiles,
    gguf::{GgufFile, MetadataValue},
};

/// Kinds of tokens, as in llama.cpp's `llama_token_type`.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// The tokenizer's metadata, checked.
struct Source<'a> {
    file: &'a GgufFile,
    tokens: &'a [String],
    /// By id; empty if the file does not say.
    kinds: Vec<i64>,
    merges: &'a [String],
    pre: PreTokenizer,
}

/// The files that a folder would have.
pub(super) fn text_files(
    file: &GgufFile,
    parameters: &Hyperparameters,
) -> Result<TextFiles, FilesError> {
    let source = Source::read(file)?;
    let mut text = TextFiles {
        tokenizer_json: source.tokenizer_json()?.to_string(),
        ..TextFiles::default()
    };
    for (key, value) in file.metadata() {
        let name = match key.strip_prefix("tokenizer.chat_template") {
            Some("") => "default",
            Some(rest) => match rest.strip_prefix('.') {
                Some(name) => name,
                None => continue,
            },
            None => continue,
        };
        let template = value
            .as_str()
            .ok_or_else(|| wrong(file, key, "a string", value))?;
        text.add_template(name, template.to_owned());
    }
    text.tokenizer_config = Some(source.tokenizer_config(&text, parameters)?);
    Ok(text)
}

impl<'a> Source<'a> {
    fn read(file: &'a GgufFile) -> Result<Self, FilesError> {
        let get = |key: &str| file.metadata().get(&format!("tokenizer.ggml.{key}"));
        let text = |key: &str| get(key).and_then(MetadataValue::as_str);
        match text("model") {
            Some("gpt2") => {}
            Some(other) => {
                return Err(FilesError::unsupported(
                    file.path(),
                    format!(
                        "tokenizers of the kind {other:?} are not read from GGUF files; \"gpt2\" (byte-level BPE) is"
                    ),
                ));
            }
            None => return Err(missing(file, "tokenizer.ggml.model")),
        }
        let name = text("pre").ok_or_else(|| missing(file, "tokenizer.ggml.pre"))?;
        let pre = pre_tokenizer::named(name).ok_or_else(|| {
            FilesError::unsupported(
                file.path(),
                format!(
                    "the pre-tokenizer {name:?} is not known; known are {}",
                    pre_tokenizer::KNOWN
                ),
            )
        })?;
        let strings = |key: &str| {
            get(key).and_then(MetadataValue::as_strings).ok_or_else(|| {
                missing(file, &format!("tokenizer.ggml.{key} (an array of strings)"))
            })
        };
        let source = Self {
            file,
            tokens: strings("tokens")?,
            kinds: match get("token_type") {
                None => Vec::new(),
                Some(value) => value
                    .as_array()
                    .and_then(crate::gguf::Array::to_i64s)
                    .ok_or_else(|| {
                        wrong(
                            file,
                            "tokenizer.ggml.token_type",
                            "an array of integers",
                            value,
                        )
                    })?,
            },
            merges: strings("merges")?,
            pre,
        };
        source.check()?;
        Ok(source)
    }

    /// What the tokenizers library would otherwise refuse with fewer words, or not notice.
    fn check(&self) -> Result<(), FilesError> {
        let malformed = |reason| Err(FilesError::malformed(self.file.path(), reason));
        if self.tokens.is_empty() {
            return malformed("tokenizer.ggml.tokens is empty".to_owned());
        }
        if !self.kinds.is_empty() && self.kinds.len() != self.tokens.len() {
            return malformed(format!(
                "tokenizer.ggml.token_type has {} elements for {} tokens",
                self.kinds.len(),
                self.tokens.len()
            ));
        }
        let mut ids = HashMap::with_capacity(self.tokens.len());
        for (id, token) in self.tokens.iter().enumerate() {
            if let Some(earlier) = ids.insert(token.as_str(), id) {
                return malformed(format!("the tokens {earlier} and {id} are both {token:?}"));
            }
        }
        for merge in self.merges {
            let Some((left, right)) = merge
                .split_once(' ')
                .filter(|(_, right)| !right.contains(' '))
            else {
                return malformed(format!("the merge {merge:?} is not two tokens and a space"));
            };
            let merged = format!("{left}{right}");
            if [left, right, &merged]
                .iter()
                .any(|part| !ids.contains_key(part))
            {
                return malformed(format!("the merge {merge:?} names or makes no token"));
            }
        }
        Ok(())
    }

    /// The id under a key, and its token.
    fn special(&self, key: &str) -> Result<Option<(u64, &'a str)>, FilesError> {
        let key = format!("tokenizer.ggml.{key}_token_id");
        let Some(value) = self.file.metadata().get(&key) else {
            return Ok(None);
        };
        value
            .as_u64()
            .and_then(|id| Some((id, self.tokens.get(usize::try_from(id).ok()?)?.as_str())))
            .map(Some)
            .ok_or_else(|| {
                FilesError::malformed(
                    self.file.path(),
                    format!(
                        "{key} is not the number of one of the {} tokens",
                        self.tokens.len()
                    ),
                )
            })
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, FilesError> {
        let key = format!("tokenizer.ggml.{key}");
        self.file
            .metadata()
            .get(&key)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| wrong(self.file, &key, "a boolean", value))
            })
            .transpose()
    }

    /// Tokens that are found in the text before it is cut: their ids, and whether they are special.
    fn added(&self) -> impl Iterator<Item = (usize, &'a str, bool)> {
        self.kinds
            .iter()
            .enumerate()
            .filter(|(_, kind)| matches!(**kind, CONTROL | USER_DEFINED))
            .filter_map(|(id, kind)| Some((id, self.tokens.get(id)?.as_str(), *kind == CONTROL)))
    }

    fn tokenizer_json(&self) -> Result<Value, FilesError> {
        let added: Vec<_> = self
            .added()
            .map(|(id, content, special)| {
                let mut token = added_token(content, special);
                token["id"] = id.into();
                token
            })
            .collect();
        let vocab: Map<String, Value> = self
            .tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), id.into()))
            .collect();
        Ok(json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": self.pre.normalizer,
            "pre_tokenizer": self.pre.steps,
            "post_processor": self.post_processor()?,
            "decoder": {
                "type": "ByteLevel",
                "add_prefix_space": true,
                "trim_offsets": true,
                "use_regex": true,
            },
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": self.pre.ignore_merges,
                "vocab": vocab,
                "merges": self.merges,
            },
        }))
    }

    /// Puts BOS and EOS around a text, if the model wants them.
    fn post_processor(&self) -> Result<Value, FilesError> {
        let before = if self.flag("add_bos_token")?.unwrap_or(self.pre.add_bos) {
            self.special("bos")?
        } else {
            None
        };
        let after = if self.flag("add_eos_token")?.unwrap_or(false) {
            self.special("eos")?
        } else {
            None
        };
        if before.is_none() && after.is_none() {
            return Ok(Value::Null);
        }
        let mut special_tokens = Map::new();
        for (id, token) in [before, after].into_iter().flatten() {
            special_tokens.insert(
                token.to_owned(),
                json!({ "id": token, "ids": [id], "tokens": [token] }),
            );
        }
        let around = |sequence: &str, type_id: u32| {
            let special =
                |(_, token)| json!({ "SpecialToken": { "id": token, "type_id": type_id } });
            let mut pieces: Vec<Value> = before.map(special).into_iter().collect();
            pieces.push(json!({ "Sequence": { "id": sequence, "type_id": type_id } }));
            pieces.extend(after.map(special));
            pieces
        };
        let pair = [around("A", 0), around("B", 1)].concat();
        Ok(json!({
            "type": "TemplateProcessing",
            "single": around("A", 0),
            "pair": pair,
            "special_tokens": special_tokens,
        }))
    }

    fn tokenizer_config(
        &self,
        text: &TextFiles,
        parameters: &Hyperparameters,
    ) -> Result<Map<String, Value>, FilesError> {
        let decoder: Map<String, Value> = self
            .added()
            .map(|(id, content, special)| (id.to_string(), added_token(content, special)))
            .collect();
        let mut config = Map::new();
        config.insert("added_tokens_decoder".into(), decoder.into());
        config.insert("clean_up_tokenization_spaces".into(), false.into());
        config.insert("model_max_length".into(), parameters.context_length.into());
        config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
        for (key, name) in [
            ("bos", "bos_token"),
            ("eos", "eos_token"),
            ("padding", "pad_token"),
            ("unknown", "unk_token"),
        ] {
            if let Some((_, token)) = self.special(key)? {
                config.insert(name.into(), token.into());
            }
        }
        let named: Vec<_> = text
            .chat_template
            .iter()
            .map(|template| ("default", template))
            .chain(
                text.additional_chat_templates
                    .iter()
                    .map(|named| (named.name.as_str(), &named.template)),
            )
            .map(|(name, template)| json!({ "name": name, "template": template }))
            .collect();
        let templates = match (&text.chat_template, named.len()) {
            (_, 0) => None,
            (Some(template), 1) => Some(Value::from(template.clone())),
            _ => Some(Value::from(named)),
        };
        if let Some(templates) = templates {
            config.insert("chat_template".into(), templates);
        }
        Ok(config)
    }
}

fn added_token(content: &str, special: bool) -> Value {
    json!({
        "content": content,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": false,
        "special": special,
    })
}

fn missing(file: &GgufFile, key: &str) -> FilesError {
    FilesError::malformed(file.path(), format!("the metadata {key} is missing"))
}

fn wrong(file: &GgufFile, key: &str, wanted: &str, found: &MetadataValue) -> FilesError {
    FilesError::malformed(
        file.path(),
        format!(
            "the metadata {key} must be {wanted}, and is {}",
            found.type_name()
        ),
    )
}
