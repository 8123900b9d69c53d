//! The store, against a Hub on the loopback.

mod describe;
mod gguf;
mod memory;
mod names;
mod offline;
mod open;
mod pull;
mod python;

use std::{collections::HashMap, path::Path, time::Duration};

use hub_fault_server::{Content, FaultServer, Repo};
use mlxengine::{ModelStore, ModelStoreBuilder, hub::RetryPolicy, registry::Registry};
use serde_json::json;

pub(crate) const ID: &str = "org/tiny-4bit";

/// A Llama that is small, but described in full.
pub(crate) fn config() -> Content {
    let config = json!({
        "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
        "intermediate_size": 96, "num_attention_heads": 8, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6, "vocab_size": 100, "max_position_embeddings": 4096,
        "tie_word_embeddings": true, "quantization": {"group_size": 32, "bits": 4},
    });
    Content::bytes(config.to_string())
}

pub(crate) fn repo() -> Repo {
    Repo::new(ID)
        .file("config.json", config())
        .file(
            "generation_config.json",
            Content::bytes(r#"{"temperature": 0.3, "top_k": 7}"#),
        )
        .file("tokenizer.json", Content::bytes("{}"))
        .file("README.md", Content::bytes("---\nlicense: mit\n---\nText"))
        .file(".gitattributes", Content::bytes("x"))
        .lfs("model.safetensors", Content::noise(1, 300_000))
        .lfs("pytorch_model.bin", Content::noise(2, 1000))
}

/// A builder for a store that keeps all its files in `home`.
pub(crate) fn builder(endpoint: &str, home: &Path) -> ModelStoreBuilder {
    let variables = HashMap::from([
        ("HF_ENDPOINT", endpoint.to_owned()),
        ("HF_HOME", home.display().to_string()),
        ("HOME", home.display().to_string()),
    ]);
    ModelStoreBuilder::from_lookup(|name| variables.get(name).cloned())
        .unwrap()
        .retry(RetryPolicy::NEVER)
        .downloads(|downloads| {
            downloads
                .environment_proxies(false)
                .attempts(3)
                .delays(Duration::ZERO, Duration::ZERO)
        })
}

/// A Hub with the usual repository, an empty cache, and a store between them.
pub(crate) struct World {
    pub(crate) server: FaultServer,
    pub(crate) home: tempfile::TempDir,
    pub(crate) store: ModelStore,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(repo())
    }

    pub(crate) fn with(repo: Repo) -> Self {
        let server = FaultServer::start([repo]).unwrap();
        let home = tempfile::tempdir().unwrap();
        let store = builder(server.url(), home.path()).build().unwrap();
        Self {
            server,
            home,
            store,
        }
    }

    /// Another process with the same cache, which reaches nobody.
    pub(crate) fn offline(&self) -> ModelStore {
        builder(self.server.url(), self.home.path())
            .offline(true)
            .build()
            .unwrap()
    }

    /// Requests of all kinds since the last call.
    pub(crate) fn requests(&self) -> u64 {
        let stats = self.server.stats();
        self.server.reset_stats();
        stats.api_requests + stats.heads() + stats.gets()
    }
}

/// A registry with one model more.
pub(crate) fn registry(entry: &str) -> Registry {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("models.toml");
    std::fs::write(&list, entry).unwrap();
    let mut registry = Registry::built_in().unwrap();
    registry.overlay(&list).unwrap();
    registry
}
