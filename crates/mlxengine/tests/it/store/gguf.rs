//! Repositories that have GGUF files, one for each quantization.

use hub_fault_server::{Content, Repo};
use mlxengine::StoreError;

use super::{World, config};

const ID: &str = "org/Tiny-GGUF";

fn repo() -> Repo {
    Repo::new(ID)
        .file("README.md", Content::bytes("text"))
        .lfs("Tiny-Q4_K_M.gguf", Content::noise(1, 40_000))
        .lfs("Tiny-Q8_0.gguf", Content::noise(2, 80_000))
}

#[tokio::test]
async fn one_file_is_fetched_and_loaded_by_name() {
    let world = World::with(repo());
    let name = format!("{ID}:q4_k_m");
    let model = world.store.open(&name).await.unwrap();
    let path = model.configuration.path.clone();
    assert!(path.ends_with("Tiny-Q4_K_M.gguf"), "{}", path.display());
    assert_eq!(model.configuration.name, "Tiny-Q4_K_M");
    assert_eq!(
        std::fs::read(&path).unwrap(),
        Content::noise(1, 40_000).to_vec()
    );
    assert_eq!(world.server.stats().gets(), 1);

    // Nobody is asked again, online or offline.
    world.requests();
    let again = world.store.open(&name).await.unwrap();
    let offline = world.offline().open(&name).await.unwrap();
    assert_eq!(again.configuration.path, path);
    assert_eq!(offline.configuration.path, path);
    assert_eq!(world.requests(), 0);
    // The only one here is meant where none is named.
    let only = world.offline().open(ID).await.unwrap();
    assert_eq!(only.configuration.path, path);
    let described = world.offline();
    let described = described.describe(&described.find(&name).unwrap()).await;
    assert_eq!(described.unwrap().weight_bytes, Some(40_000));
}

#[tokio::test]
async fn where_several_fit_they_are_named() {
    let world = World::with(repo());
    let error = world.store.open(ID).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::SeveralGguf { files, .. } if files.len() == 2),
        "{error:?}"
    );
    let shown = format!("{error}; {}", error.suggestion());
    for word in ["Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf", "org/Tiny-GGUF:Q4_K_M"] {
        assert!(shown.contains(word), "{shown}");
    }
    assert_eq!(world.server.stats().gets(), 0);
}

#[tokio::test]
async fn what_does_not_fit_is_said_with_what_there_is() {
    let world = World::with(repo());
    let error = world.store.open(&format!("{ID}:Q2_K")).await.unwrap_err();
    let shown = error.to_string();
    assert!(matches!(error, StoreError::NoGguf { .. }), "{error:?}");
    assert!(
        shown.contains("\"Q2_K\"") && shown.contains("Tiny-Q8_0.gguf"),
        "{shown}"
    );

    // Offline, what is here of the model is no help.
    world.store.open(&format!("{ID}:Q8_0")).await.unwrap();
    let error = world.offline().open(&format!("{ID}:Q4_K_M")).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, StoreError::NotHere { missing, .. } if missing == &["Tiny-Q4_K_M.gguf"]),
        "{error:?}"
    );
}

#[tokio::test]
async fn safetensors_come_first_unless_a_file_is_named() {
    let mixed = Repo::new(ID)
        .file("config.json", config())
        .lfs("model.safetensors", Content::noise(3, 50_000))
        .lfs("Tiny-Q8_0.gguf", Content::noise(2, 80_000));
    let world = World::with(mixed);
    let folder = world.store.open(ID).await.unwrap().configuration.path;
    assert!(folder.join("model.safetensors").exists());
    assert!(!folder.join("Tiny-Q8_0.gguf").exists());
    let file = world.store.open(&format!("{ID}:Q8_0")).await.unwrap();
    assert_eq!(file.configuration.path, folder.join("Tiny-Q8_0.gguf"));
}

#[tokio::test]
async fn the_only_one_needs_no_name_and_a_commit_can_be_named_too() {
    let only = Repo::new(ID).lfs("sub/only.gguf", Content::noise(1, 4_000));
    let commit = only.commit().to_owned();
    let world = World::with(only);
    let first = world.store.open(ID).await.unwrap();
    assert!(first.configuration.path.ends_with("sub/only.gguf"));
    let name = format!("{ID}:only@{commit}");
    assert_eq!(world.store.find(&name).unwrap().to_string(), name);
    world.requests();
    let pinned = world.store.open(&name).await.unwrap();
    assert_eq!(pinned.configuration.path, first.configuration.path);
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_not_taken_for_whole() {
    let world = World::with(repo());
    let name = format!("{ID}:Q8_0");
    let path = world.store.open(&name).await.unwrap().configuration.path;
    std::fs::write(&path, b"cut short").unwrap();
    assert!(matches!(
        world.offline().open(&name).await.unwrap_err(),
        StoreError::NotHere { .. }
    ));
    let again = world.store.open(&name).await.unwrap().configuration.path;
    assert_eq!(std::fs::read(again).unwrap().len(), 80_000);
}
