//! What is known about a model.

use std::path::{Path, PathBuf};

use engine_core::MemoryEstimate;
use hub_client::{CardData, HubError, ModelInfo, RepoPath, Revision};
use registry::{CardFacts, ModelEntry, Recommended};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    ModelStore, NamedModel, StoreError, blocking,
    files::{self, Here, MOST_CONFIG},
};

/// What is known about a model, and from where.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ModelDescription {
    /// The model itself.
    #[serde(flatten)]
    pub entry: ModelEntry,
    /// Its files on this machine, if they are whole.
    pub path: Option<PathBuf>,
    /// The commit that is described.
    pub commit: Option<String>,
    /// Bytes of its weights.
    pub weight_bytes: Option<u64>,
    /// Bytes of all its files on the Hub.
    pub repo_bytes: Option<u64>,
    /// Whether one has to ask for access on the Hub.
    pub gated: Option<bool>,
}

impl ModelDescription {
    fn new(entry: ModelEntry) -> Self {
        Self {
            entry,
            path: None,
            commit: None,
            weight_bytes: None,
            repo_bytes: None,
            gated: None,
        }
    }

    /// The memory needed with one sequence of `context` tokens and numbers of `element_bytes`
    /// bytes; see [`registry::ConfigFacts::memory_estimate`].
    pub fn memory_estimate(&self, context: u32, element_bytes: u32) -> Option<MemoryEstimate> {
        self.entry
            .facts()
            .memory_estimate(self.weight_bytes, context, element_bytes)
            .or_else(|| self.entry.memory_estimate(context))
    }
}

pub(super) async fn describe(
    store: &ModelStore,
    model: &NamedModel,
) -> Result<ModelDescription, StoreError> {
    if let Some(described) = described_by_files(store, model).await? {
        return Ok(described);
    }
    match described_by_hub(store, model).await {
        Ok(described) => Ok(described),
        // The registry knows less, but something.
        Err(StoreError::Hub(error)) => match model.entry() {
            Some(entry) if error.is_retryable() || matches!(error, HubError::Offline { .. }) => {
                tracing::debug!(%error, "the registry answers alone");
                Ok(ModelDescription::new(entry.clone()))
            }
            _ if matches!(error, HubError::Offline { .. }) => Err(StoreError::NotHere {
                model: model.to_string(),
                missing: Vec::new(),
            }),
            _ => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

async fn described_by_files(
    store: &ModelStore,
    model: &NamedModel,
) -> Result<Option<ModelDescription>, StoreError> {
    let (commit, path) = match model {
        NamedModel::Local { path, .. } => (None, path.clone()),
        NamedModel::Hub { repo, revision, .. } => {
            let Some((commit, folder)) = store.cached(repo, revision).await? else {
                return Ok(None);
            };
            match store.look(model, repo, &commit, &folder).await? {
                Here::Folder => (Some(commit.to_string()), folder),
                Here::Gguf(file) => (Some(commit.to_string()), file),
                Here::Lacks(_) | Here::Several(_) => return Ok(None),
            }
        }
    };
    let model = model.clone();
    blocking(move || {
        let is_local = matches!(model, NamedModel::Local { .. });
        if is_local && !path.exists() {
            return Err(StoreError::Engine(crate::Error::ModelNotFound { path }));
        }
        let mut described = ModelDescription::new(entry_of(&model, &path)?);
        described.weight_bytes = files::weight_bytes(&path);
        described.path = Some(path);
        described.commit = commit;
        Ok(Some(described))
    })
    .await
}

/// The entry of a model whose files lie in `folder`: what they say, and above it what a list says.
///
/// A GGUF file describes itself to the engines, and here has its name alone.
pub(super) fn entry_of(model: &NamedModel, folder: &Path) -> Result<ModelEntry, StoreError> {
    if folder.is_file() {
        let mut entry = joined(model, Map::new(), None, &CardFacts::default());
        if let (None, Some(name)) = (model.entry(), folder.file_stem()) {
            entry.name = name.to_string_lossy().into_owned();
        }
        return Ok(entry);
    }
    let config = files::json_object(&folder.join("config.json"))?.unwrap_or_default();
    let generation = files::json_object(&folder.join("generation_config.json"))?;
    Ok(joined(
        model,
        config,
        generation.as_ref(),
        &CardFacts::default(),
    ))
}

/// A list's entry with what the files say more exactly.
fn joined(
    model: &NamedModel,
    config: Map<String, Value>,
    generation: Option<&Map<String, Value>>,
    card: &CardFacts,
) -> ModelEntry {
    let own = ModelEntry::from_files(model.place(), config, generation, card);
    let Some(listed) = model.entry() else {
        return own;
    };
    let mut entry = listed.clone();
    if own.config.is_empty() {
        return entry;
    }
    entry.model_type = own.model_type.or(entry.model_type);
    entry.parameters = own.parameters.or(entry.parameters);
    entry.quantization = own.quantization.or(entry.quantization);
    entry.kv_cache = own.kv_cache.or(entry.kv_cache);
    entry.context = own.context.or(entry.context);
    entry.license = entry.license.or(own.license);
    if entry.generate == Recommended::default() {
        entry.generate = own.generate;
    }
    entry.config = own.config;
    entry
}

async fn described_by_hub(
    store: &ModelStore,
    model: &NamedModel,
) -> Result<ModelDescription, StoreError> {
    let (repo, revision) = model.on_hub()?;
    let info = store.hub.model_info(repo, revision).await?;
    // The same commit for all that follows.
    let at = info
        .sha
        .clone()
        .map_or_else(|| revision.clone(), Revision::from);
    let config = object(store, &info, &at, "config.json").await?;
    let generation = object(store, &info, &at, "generation_config.json").await?;
    let card = info.card_data.as_ref().map(card_facts).unwrap_or_default();
    let card = CardFacts {
        task: info.pipeline_tag.clone().or(card.task),
        tags: info.tags.clone(),
        ..card
    };
    let entry = joined(
        model,
        config.unwrap_or_default(),
        generation.as_ref(),
        &card,
    );
    let mut described = ModelDescription::new(entry);
    described.weight_bytes = weight_bytes(&info);
    described.repo_bytes = info.total_size();
    described.gated = Some(info.gated != hub_client::Gated::No);
    described.commit = info.sha.map(String::from);
    Ok(described)
}

/// A small JSON file of the repository's root, if there is one.
async fn object(
    store: &ModelStore,
    info: &ModelInfo,
    revision: &Revision,
    name: &str,
) -> Result<Option<Map<String, Value>>, StoreError> {
    let path = RepoPath::parse(name)?;
    if !info.files.iter().any(|file| file.path == path) {
        return Ok(None);
    }
    let most = MOST_CONFIG as usize;
    let text = store.hub.read_file(&info.id, revision, &path, most).await?;
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        StoreError::Hub(HubError::Decode {
            operation: format!("read {name} of {}", info.id),
            reason: error.to_string(),
        })
    })
}

fn weight_bytes(info: &ModelInfo) -> Option<u64> {
    let mut sizes = info
        .files
        .iter()
        .filter(|file| file.path.as_str().ends_with(".safetensors"))
        .map(|file| file.size)
        .peekable();
    sizes.peek()?;
    sizes.try_fold(0_u64, |sum, size| sum.checked_add(size?))
}

fn card_facts(card: &CardData) -> CardFacts {
    let named = card.license_name.clone();
    let license = match card.license.as_deref() {
        Some("other") => named.or_else(|| card.license.clone()),
        _ => card.license.clone(),
    };
    CardFacts {
        license,
        task: card.pipeline_tag.clone(),
        tags: card.tags.clone(),
        base_models: card.base_model.clone(),
    }
}
