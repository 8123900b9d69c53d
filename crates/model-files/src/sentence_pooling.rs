//! What the sentence-transformers library notes beside a model that embeds texts.
//!
//! `modules.json` lists what a text goes through, and the folder of the pooling module says how
//! hidden states become a vector (<https://www.sbert.net/docs/sentence_transformer/usage/custom_models.html>).

use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    FilesError,
    json_file::{read_array, read_object},
};

/// Which hidden states become the vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolingMode {
    /// The first token's.
    Cls,
    /// The mean of all.
    Mean,
    /// The last token's.
    LastToken,
}

/// How a model's files say that a text becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SentencePooling {
    /// Which hidden states count.
    pub mode: PoolingMode,
    /// Whether vectors are divided by their length.
    pub normalize: bool,
}

impl SentencePooling {
    /// Reads the folder's notes; `None` if there are none, or if they ask for something else than a
    /// pooling of one kind and a normalisation.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, FilesError> {
        let Some(modules) = read_array(&folder.join("modules.json"))? else {
            return Ok(None);
        };
        let mut pooling = None;
        let mut normalize = false;
        for module in &modules {
            let text = |key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = text("type");
            match kind.rsplit('.').next().unwrap_or(kind) {
                "Transformer" => {}
                "Pooling" => {
                    // A name, and no way out of the folder.
                    let name = text("path");
                    if name.is_empty() || name.contains(['/', '\\']) || name.contains("..") {
                        return Ok(None);
                    }
                    let config = read_object(&folder.join(name).join("config.json"))?;
                    pooling = config.as_ref().and_then(mode);
                }
                "Normalize" => normalize = true,
                _ => return Ok(None),
            }
        }
        Ok(pooling.map(|mode| Self { mode, normalize }))
    }
}

/// The one mode that the configuration asks for.
fn mode(config: &Map<String, Value>) -> Option<PoolingMode> {
    let modes = [
        ("cls_token", "cls", Some(PoolingMode::Cls)),
        ("mean_tokens", "mean", Some(PoolingMode::Mean)),
        ("lasttoken", "lasttoken", Some(PoolingMode::LastToken)),
        ("max_tokens", "max", None),
        ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens", None),
        ("weightedmean_tokens", "weightedmean", None),
    ];
    if let Some(name) = config.get("pooling_mode").and_then(Value::as_str) {
        return modes.iter().find(|mode| mode.1 == name)?.2;
    }
    let asked = |key: &str| {
        let value = config.get(&format!("pooling_mode_{key}"));
        value.and_then(Value::as_bool).unwrap_or(false)
    };
    let mut asked = modes.iter().filter(|mode| asked(mode.0));
    match (asked.next(), asked.next()) {
        (Some(mode), None) => mode.2,
        _ => None,
    }
}
