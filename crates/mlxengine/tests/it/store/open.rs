//! From a name to an engine.

use std::sync::Arc;

use mlxengine::{
    InferenceEngine, StoreError,
    downloader::{Error as DownloadError, RepoFolder},
    mock::MockBackend,
};

use super::{ID, World, builder, registry, repo};

#[tokio::test]
async fn a_model_is_fetched_once_and_then_opened_without_a_question() {
    let world = World::new();
    let first = world.store.open(ID).await.unwrap();
    assert!(world.requests() > 0);
    let second = world.store.open(ID).await.unwrap();
    assert_eq!(world.requests(), 0);
    assert_eq!(first.configuration, second.configuration);
    let commit = repo().commit().to_owned();
    let third = world.store.open(&format!("{ID}@{commit}")).await.unwrap();
    assert_eq!(world.requests(), 0);
    assert_eq!(third.configuration.path, second.configuration.path);
}

#[tokio::test]
async fn a_registry_name_opens_with_its_settings() {
    let world = World::new();
    let registry = registry(&format!(
        "[[model]]\nname = \"tiny\"\nrepo = \"{ID}\"\ngenerate = {{ temperature = 0.9 }}\n"
    ));
    let store = builder(world.server.url(), world.home.path())
        .registry(registry)
        .build()
        .unwrap();
    let model = store.open("Tiny").await.unwrap();
    assert_eq!(model.configuration.name, "tiny");
    assert_eq!(model.configuration.generate.temperature, 0.9);
    // What the list leaves open comes from the files.
    assert!(model.configuration.parameters.is_some());
}

#[tokio::test]
async fn a_damaged_snapshot_is_completed() {
    let world = World::new();
    let path = world.store.open(ID).await.unwrap().configuration.path;
    std::fs::remove_file(path.join("model.safetensors")).unwrap();
    let model = world.store.find(ID).unwrap();
    assert!(world.store.open_cached(&model).await.unwrap().is_none());
    world.store.open(ID).await.unwrap();
    assert!(path.join("model.safetensors").exists());
}

#[tokio::test]
async fn a_folder_is_opened_as_it_is() {
    let world = World::new();
    let path = world.store.open(ID).await.unwrap().configuration.path;
    world.requests();
    let model = world.store.open(path.to_str().unwrap()).await.unwrap();
    assert_eq!(model.configuration.path, path);
    assert_eq!(model.commit, None);
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn an_engine_keeps_its_model_from_being_deleted() {
    let world = World::new();
    let model = world.store.open(ID).await.unwrap();
    let backend = Arc::new(MockBackend::default());
    let engine = InferenceEngine::load(model).with_backend(backend).await;
    let engine = engine.unwrap();
    assert_eq!(engine.params().top_k, Some(7));
    let folder = RepoFolder::of_model(ID).unwrap();
    let delete = || world.store.cache().plan_delete(&folder).unwrap().execute();

    let refused = delete();
    let (_, error) = &refused.skipped[0];
    assert!(matches!(error, DownloadError::InUse { .. }), "{error:?}");
    let copy = engine.clone();
    drop(engine);
    assert_eq!(delete().skipped.len(), 1);
    drop(copy);
    assert_eq!(delete().skipped.len(), 0);
    assert!(world.store.cache().plan_delete(&folder).is_err());
}

#[tokio::test]
async fn load_says_what_stands_in_the_way() {
    let world = World::new();
    let error = world.store.load("org/absent").await.unwrap_err();
    assert!(matches!(error, StoreError::Hub(_)), "{error:?}");
    let error = world.store.load("/no/such/model").await.unwrap_err();
    assert!(matches!(error, StoreError::Engine(_)), "{error:?}");
    assert!(!error.suggestion().is_empty());
}

#[tokio::test]
async fn a_users_own_list_is_found_where_it_belongs() {
    let world = World::new();
    let config = world.home.path().join(".config/mlxengine");
    std::fs::create_dir_all(&config).unwrap();
    let entry = format!("[[model]]\nname = \"mine\"\nrepo = \"{ID}\"\n");
    std::fs::write(config.join("models.toml"), entry).unwrap();
    let store = builder(world.server.url(), world.home.path())
        .build()
        .unwrap();
    assert_eq!(store.find("mine").unwrap().to_string(), ID);
    std::fs::write(config.join("models.toml"), "[[model]]").unwrap();
    let error = builder(world.server.url(), world.home.path())
        .build()
        .unwrap_err();
    assert!(matches!(error, StoreError::Registry(_)), "{error:?}");
}
