//! What the cache can answer, it answers.

use hub_fault_server::{Fault, Stage};
use mlxengine::{StoreError, hub::HubError};

use super::{ID, World, repo};

const INFO: &str = "/api/models/org/tiny-4bit/revision/main";

#[tokio::test]
async fn offline_the_cache_answers_alone() {
    let world = World::new();
    let path = world.store.open(ID).await.unwrap().configuration.path;
    world.requests();
    let offline = world.offline();
    let model = offline.find(ID).unwrap();
    let pulled = offline.pull(model.clone()).await.unwrap();
    assert_eq!(pulled.path, path);
    assert!(matches!(pulled.not_asked, Some(HubError::Offline { .. })));
    assert_eq!(offline.open(ID).await.unwrap().configuration.path, path);
    let pinned = format!("{ID}@{}", repo().commit());
    assert_eq!(
        offline.open(&pinned).await.unwrap().configuration.path,
        path
    );
    assert_eq!(offline.describe(&model).await.unwrap().path, Some(path));
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn offline_what_is_not_here_is_said_so() {
    let world = World::new();
    let error = world.offline().open(ID).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotHere { missing, .. } if missing.is_empty()));
    assert_eq!(error.to_string(), "org/tiny-4bit is not on this machine");
    assert!(error.suggestion().contains("HF_HUB_OFFLINE"));
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn offline_what_a_model_lacks_is_named() {
    let world = World::new();
    let path = world.store.open(ID).await.unwrap().configuration.path;
    std::fs::remove_file(path.join("model.safetensors")).unwrap();
    let error = world.offline().open(ID).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "org/tiny-4bit is not on this machine: it lacks model.safetensors"
    );
    // Of several files the index says which, even where nothing notes what the commit has.
    std::fs::remove_dir_all(path.join("../../trees")).unwrap();
    let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    std::fs::write(path.join("model.safetensors.index.json"), index).unwrap();
    std::fs::write(path.join("model-1.safetensors"), "x").unwrap();
    let error = world.offline().open(ID).await.unwrap_err();
    assert!(
        error.to_string().ends_with("it lacks model-2.safetensors"),
        "{error}"
    );
}

#[tokio::test]
async fn a_hub_in_trouble_is_not_waited_for_when_the_cache_can_answer() {
    let world = World::new();
    let path = world.store.open(ID).await.unwrap().configuration.path;
    for fault in [
        Fault::status(503),
        Fault::too_many_requests(3600),
        Fault::Cut {
            after: 0,
            reset: true,
        },
    ] {
        world.server.script(Stage::Api, INFO, [fault]);
        let model = world.store.find(ID).unwrap();
        let pulled = world.store.pull(model).await.unwrap();
        assert_eq!(pulled.path, path);
        assert!(pulled.not_asked.is_some());
    }
}

#[tokio::test]
async fn a_hub_that_says_no_is_heeded_all_the_same() {
    let world = World::new();
    world.store.open(ID).await.unwrap();
    let gone = Fault::status(404);
    world.server.script(Stage::Api, INFO, [gone]);
    let model = world.store.find(ID).unwrap();
    let error = world.store.pull(model).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Hub(HubError::RepositoryNotFound { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn half_a_model_is_no_answer_to_trouble() {
    let world = World::new();
    let path = world.store.open(ID).await.unwrap().configuration.path;
    std::fs::remove_file(path.join("config.json")).unwrap();
    world.server.script(Stage::Api, INFO, [Fault::status(503)]);
    let model = world.store.find(ID).unwrap();
    let error = world.store.pull(model).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Hub(HubError::Status { .. })),
        "{error:?}"
    );
}
