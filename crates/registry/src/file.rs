//! Lists of models as TOML files.

use std::{borrow::Cow, collections::BTreeSet, path::PathBuf};

use engine_core::Quantization;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Capability, ConfigFacts, ModelEntry, Origin, Place, Recommended, RegistryError, Runs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    #[serde(default, rename = "model")]
    models: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: String,
    repo: Option<String>,
    revision: Option<String>,
    path: Option<PathBuf>,
    family: Option<String>,
    parameters: Option<u64>,
    quantization: Option<Quantization>,
    bits_per_weight: Option<f64>,
    context: Option<u32>,
    license: Option<String>,
    #[serde(default)]
    capabilities: BTreeSet<Capability>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    generate: Recommended,
    download_bytes: Option<u64>,
    #[serde(default)]
    config: Map<String, Value>,
}

/// Reads a list; `list` is what messages call it.
pub(crate) fn parse(
    text: &str,
    list: &str,
    origin: &Origin,
) -> Result<Vec<ModelEntry>, RegistryError> {
    let raw: RawList = toml::from_str(text).map_err(|error| RegistryError::Malformed {
        list: list.to_owned(),
        reason: error.to_string(),
    })?;
    let mut names = BTreeSet::new();
    raw.models
        .into_iter()
        .map(|raw| {
            let check = Check {
                list,
                name: raw.name.clone(),
            };
            if !names.insert(raw.name.clone()) {
                return Err(check.invalid("name", "unique in the list"));
            }
            entry(raw, &check, origin.clone())
        })
        .collect()
}

fn entry(raw: RawEntry, check: &Check<'_>, origin: Origin) -> Result<ModelEntry, RegistryError> {
    let place = check.place(raw.repo, raw.revision, raw.path)?;
    check.name()?;
    let mut config = raw.config;
    // Said once in a list, and twice in a config.json.
    if let (Some(quantization), None) = (raw.quantization, config.get("quantization")) {
        let value = serde_json::json!({
            "bits": quantization.bits,
            "group_size": quantization.group_size,
        });
        config.insert("quantization".to_owned(), value);
    }
    let facts = ConfigFacts::read(&config);
    let entry = ModelEntry {
        name: raw.name,
        place,
        family: raw.family,
        parameters: raw.parameters.or(facts.parameters),
        quantization: raw.quantization.or(facts.quantization),
        bits_per_weight: raw.bits_per_weight,
        context: raw.context.or(facts.context),
        license: raw.license,
        runs: runs(&facts, &raw.capabilities),
        capabilities: raw.capabilities.into_iter().collect(),
        tags: raw.tags,
        generate: raw.generate,
        kv_cache: facts.kv_cache,
        model_type: facts.model_type,
        download_bytes: raw.download_bytes,
        origin,
        config,
    };
    check.values(&entry)?;
    Ok(entry)
}

pub(crate) fn runs<'a>(
    facts: &ConfigFacts,
    capabilities: impl IntoIterator<Item = &'a Capability>,
) -> Runs {
    if capabilities
        .into_iter()
        .any(|c| *c == Capability::Embeddings)
    {
        return Runs::NotYet {
            reason: "embeddings are not implemented".to_owned(),
        };
    }
    facts.runs()
}

struct Check<'a> {
    list: &'a str,
    name: String,
}

impl Check<'_> {
    fn invalid(
        &self,
        field: &'static str,
        expected: impl Into<Cow<'static, str>>,
    ) -> RegistryError {
        RegistryError::InvalidEntry {
            list: self.list.to_owned(),
            name: self.name.clone(),
            field,
            expected: expected.into(),
        }
    }

    fn name(&self) -> Result<(), RegistryError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        let starts = self
            .name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        if starts && self.name.len() <= 96 && self.name.bytes().all(allowed) {
            return Ok(());
        }
        Err(self.invalid(
            "name",
            "of lower-case letters, digits, \"-\", \".\" and \"_\", without an organisation",
        ))
    }

    fn place(
        &self,
        repo: Option<String>,
        revision: Option<String>,
        path: Option<PathBuf>,
    ) -> Result<Place, RegistryError> {
        match (repo, path) {
            (Some(repo), None) => {
                let parts: Vec<&str> = repo.split('/').collect();
                if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
                    return Err(self.invalid("repo", "of the form organisation/name"));
                }
                Ok(Place::Hub { repo, revision })
            }
            (None, Some(path)) if revision.is_none() && !path.as_os_str().is_empty() => {
                Ok(Place::Local { path })
            }
            _ => Err(self.invalid(
                "repo",
                "given, or a path instead of it, which has no revision",
            )),
        }
    }

    fn values(&self, entry: &ModelEntry) -> Result<(), RegistryError> {
        if entry.parameters == Some(0) {
            return Err(self.invalid("parameters", "above 0"));
        }
        if entry.context == Some(0) {
            return Err(self.invalid("context", "above 0"));
        }
        let bits = entry.bits_per_weight.unwrap_or(4.0);
        if !(bits > 0.0 && bits <= 64.0) {
            return Err(self.invalid("bits_per_weight", "a number above 0 and at most 64"));
        }
        let configuration = entry.configuration("somewhere");
        match configuration.validate() {
            Ok(()) => Ok(()),
            Err(engine_core::Error::InvalidParameter {
                field, expected, ..
            }) => Err(self.invalid(field.name(), expected)),
            Err(other) => Err(self.invalid("the entry", other.to_string())),
        }
    }
}

/// The curated list.
pub(crate) const CURATED: &str = include_str!("../models.toml");
