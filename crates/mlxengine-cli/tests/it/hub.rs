//! A Hub on the loopback, and the program with a home of its own.

use std::path::Path;

use assert_cmd::Command;
use hub_fault_server::{Content, FaultServer, Repo, Settings};

use crate::command::{Finished, finished, mlxengine};

pub(crate) const ID: &str = "org/tiny-4bit";
pub(crate) const TOKEN: &str = "hf_sEcReT0123456789";

const CONFIG: &str = r#"{
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96,
    "num_attention_heads": 8, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 100,
    "max_position_embeddings": 4096, "tie_word_embeddings": true,
    "quantization": {"group_size": 32, "bits": 4}
}"#;

pub(crate) fn repo() -> Repo {
    Repo::new(ID)
        .file("config.json", Content::bytes(CONFIG))
        .file("tokenizer.json", Content::bytes("{}"))
        .lfs("model.safetensors", Content::noise(1, 300_000))
}

pub(crate) struct Hub {
    pub(crate) server: FaultServer,
    pub(crate) home: tempfile::TempDir,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default(), repo())
    }

    pub(crate) fn with(settings: Settings, repo: Repo) -> Self {
        Self {
            server: FaultServer::start_with(settings, [repo]).unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = at_home(self.home.path(), arguments);
        command.env("HF_ENDPOINT", self.server.url());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finished(self.command(arguments))
    }

    pub(crate) fn offline(&self, arguments: &[&str]) -> Finished {
        let mut command = self.command(arguments);
        command.env("HF_HUB_OFFLINE", "1");
        finished(command)
    }
}

/// The program with its home in a folder, and nothing else from the environment that matters.
pub(crate) fn at_home(home: &Path, arguments: &[&str]) -> Command {
    let mut command = mlxengine(arguments);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let matters = name.starts_with("HF_")
            || name.starts_with("HUGGING")
            || name.starts_with("XDG_")
            || name.to_ascii_lowercase().ends_with("_proxy");
        if matters {
            command.env_remove(&name);
        }
    }
    command.env("HOME", home);
    command
}

/// Where the cache is.
pub(crate) fn cache(hub: &Hub) -> std::path::PathBuf {
    hub.home.path().join(".cache/huggingface/hub")
}
