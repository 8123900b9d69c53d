//! Which tokens end a text: all that any of the model's files names.

use std::path::PathBuf;

use engine_core::{Error, Result, TokenId};
use serde_json::{Map, Value};

use super::{TextSources, special_tokens::SpecialTokens, tokenizer::Tokenizer};

/// The end-of-text tokens of `config.json`, `generation_config.json` and `tokenizer_config.json`
/// together, in ascending order.
pub(super) fn end_tokens(
    sources: &TextSources<'_>,
    tokenizer: &Tokenizer,
    special: &SpecialTokens,
) -> Result<Vec<TokenId>> {
    // A model may have more rows than its tokenizer has tokens.
    let rows = sources
        .config
        .and_then(|config| config.get("vocab_size"))
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let mut tokens = Vec::new();
    for (file, config) in [
        ("config.json", sources.config),
        ("generation_config.json", sources.generation_config),
    ] {
        for id in ids(file, config)? {
            let token = TokenId::try_from(id)
                .ok()
                .filter(|token| u64::from(*token) < rows || tokenizer.contains(*token))
                .ok_or_else(|| {
                    invalid(
                        file,
                        format!(
                            "eos_token_id names token {id}, which the vocabulary does not have"
                        ),
                    )
                })?;
            tokens.push(token);
        }
    }
    if let Some(text) = special.get("eos_token") {
        let token = tokenizer.id(text).ok_or_else(|| {
            invalid(
                "tokenizer_config.json",
                format!("eos_token is {text:?}, which tokenizer.json does not have"),
            )
        })?;
        tokens.push(token);
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// The ids under `eos_token_id`: one number, a list of them, or nothing.
fn ids(file: &str, config: Option<&Map<String, Value>>) -> Result<Vec<u64>> {
    let wrong = || {
        invalid(
            file,
            "eos_token_id must be a token id or a list of them".into(),
        )
    };
    match config.and_then(|config| config.get("eos_token_id")) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list
            .iter()
            .map(|id| id.as_u64().ok_or_else(wrong))
            .collect(),
        Some(id) => Ok(vec![id.as_u64().ok_or_else(wrong)?]),
    }
}

fn invalid(file: &str, reason: String) -> Error {
    Error::InvalidModel {
        path: PathBuf::from(file),
        reason,
    }
}
