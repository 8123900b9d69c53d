//! Models that are in no list, described by their own files.

use serde_json::{Map, Value};

use crate::{Capability, ConfigFacts, ModelEntry, Origin, Place, Recommended, file};

/// What a model's card says of it, as far as an entry has a place for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardFacts {
    /// `license`, or `license_name` where that is `other`.
    pub license: Option<String>,
    /// `pipeline_tag`: `text-generation`.
    pub task: Option<String>,
    /// `tags`.
    pub tags: Vec<String>,
    /// `base_model`.
    pub base_models: Vec<String>,
}

impl ModelEntry {
    /// A model that is in no list, from its `config.json`, its `generation_config.json` if it has
    /// one, and its card.
    ///
    /// The name is the last part of the repository or path. Only what the files say is filled in.
    pub fn from_files(
        place: Place,
        config: Map<String, Value>,
        generation_config: Option<&Map<String, Value>>,
        card: &CardFacts,
    ) -> Self {
        let facts = ConfigFacts::read(&config);
        let capabilities = capabilities(card);
        let base = card
            .base_models
            .iter()
            .map(|base| format!("base_model:{base}"));
        Self {
            name: name_of(&place),
            place,
            family: None,
            runs: file::runs(&facts, &capabilities),
            model_type: facts.model_type,
            parameters: facts.parameters,
            quantization: facts.quantization,
            bits_per_weight: None,
            context: facts.context,
            license: card.license.clone(),
            capabilities,
            tags: card.tags.iter().cloned().chain(base).collect(),
            generate: generation_config
                .map(Recommended::from_generation_config)
                .unwrap_or_default(),
            kv_cache: facts.kv_cache,
            download_bytes: None,
            origin: Origin::Model,
            config,
        }
    }
}

fn name_of(place: &Place) -> String {
    let name = match place {
        Place::Hub { repo, .. } => repo.rsplit('/').next().map(str::to_owned),
        Place::Local { path } => path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
    };
    name.unwrap_or_else(|| "model".to_owned())
}

/// What the Hub's tasks and tags say a model can do.
fn capabilities(card: &CardFacts) -> Vec<Capability> {
    let marks = || {
        let tags = card.tags.iter().map(String::as_str);
        card.task.as_deref().into_iter().chain(tags)
    };
    let any = |wanted: &[&str]| marks().any(|mark| wanted.contains(&mark));
    let found = [
        (
            Capability::Chat,
            any(&["conversational", "image-text-to-text"]),
        ),
        (Capability::Reasoning, any(&["reasoning", "thinking"])),
        (
            Capability::Tools,
            any(&["tool-calling", "tool-use", "function-calling"]),
        ),
        (Capability::Vision, any(&["image-text-to-text", "vision"])),
        (Capability::Code, any(&["code"])),
        (
            Capability::Embeddings,
            any(&["feature-extraction", "sentence-similarity"]),
        ),
    ];
    found
        .into_iter()
        .filter_map(|(capability, there)| there.then_some(capability))
        .collect()
}
