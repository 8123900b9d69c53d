//! The store and Python's `huggingface_hub` with one cache.

use std::{path::Path, process::Command};

use hub_fault_server::{Content, Repo};
use mlxengine::StoreError;

use super::{ID, World, repo};

/// What `mlx_lm` asks for when it loads a model.
const FETCH_AS_MLX_LM: &str = "
import sys
from huggingface_hub import snapshot_download
patterns = ['*.json', 'model*.safetensors', '*.py', 'tokenizer.model', '*.tiktoken', 'tiktoken.model',
            '*.txt', '*.jsonl', '*.jinja']
print(snapshot_download(sys.argv[1], allow_patterns=patterns))
";

/// Runs a script with `huggingface_hub`; `None` where there is none.
fn python(world: &World, offline: bool, script: &str) -> Option<String> {
    let Ok(program) = std::env::var("MLXENGINE_TEST_HUB_PYTHON") else {
        assert!(
            std::env::var_os("MLXENGINE_TEST_REQUIRE").is_none_or(|v| v != "1"),
            "MLXENGINE_TEST_HUB_PYTHON does not name a Python with huggingface_hub"
        );
        println!("skipped: set MLXENGINE_TEST_HUB_PYTHON, as `cargo xtask test` does");
        return None;
    };
    let output = Command::new(program)
        .args(["-c", script, ID])
        .env("HF_ENDPOINT", world.server.url())
        .env("HF_HOME", world.home.path())
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_CACHE")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A repository that has all kinds of files that `mlx_lm` asks for.
fn everything() -> Repo {
    repo()
        .file("modeling.py", Content::bytes("x = 1"))
        .file("extra.jsonl", Content::bytes("{}"))
        .file("chat_template.jinja", Content::bytes("{{ x }}"))
}

#[tokio::test]
async fn a_model_that_python_fetched_opens_offline() {
    let world = World::with(everything());
    let Some(path) = python(&world, false, FETCH_AS_MLX_LM) else {
        return;
    };
    world.requests();
    let opened = world.offline().open(ID).await.unwrap();
    assert_eq!(opened.configuration.path, Path::new(&path));
    let online = world.store.pull(world.store.find(ID).unwrap()).await;
    assert_eq!(online.unwrap().received, 0);
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn python_loads_offline_what_the_store_fetched() {
    let world = World::with(everything());
    let pulled = world.store.pull(world.store.find(ID).unwrap()).await;
    let pulled = pulled.unwrap().path;
    let Some(path) = python(&world, true, FETCH_AS_MLX_LM) else {
        return;
    };
    assert_eq!(Path::new(&path), pulled);
    let answers = python(
        &world,
        true,
        "
import sys
from huggingface_hub import get_cached_repo_tree, hf_hub_download, try_to_load_from_cache
from huggingface_hub.file_download import _CACHED_NO_EXIST
print(len(get_cached_repo_tree(sys.argv[1])),
      try_to_load_from_cache(sys.argv[1], 'tokenizer.model') is _CACHED_NO_EXIST,
      hf_hub_download(sys.argv[1], 'config.json').endswith('config.json'))
",
    );
    assert_eq!(answers.unwrap(), "10 True True");
}

#[tokio::test]
async fn a_snapshot_that_python_left_incomplete_is_not_taken_for_whole() {
    let world = World::with(everything());
    let without_tokenizer = "
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], allow_patterns=['config.json', '*.safetensors'])
";
    if python(&world, false, without_tokenizer).is_none() {
        return;
    }
    // Weights and configuration are here, but Python's note says that there is a tokenizer too.
    let error = world.offline().open(ID).await.unwrap_err();
    let StoreError::NotHere { missing, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(
        missing.contains(&"tokenizer.json".to_owned()),
        "{missing:?}"
    );
    let pulled = world.store.open(ID).await.unwrap();
    assert!(pulled.configuration.path.join("tokenizer.json").exists());
}
