//! What is known about a model.

use mlxengine::{StoreError, registry::Origin};

use super::{ID, World, registry};

#[tokio::test]
async fn the_hub_tells_before_anything_is_fetched() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let described = world.store.describe(&model).await.unwrap();
    assert_eq!(described.path, None);
    assert_eq!(described.weight_bytes, Some(300_000));
    assert!(described.repo_bytes > described.weight_bytes);
    assert_eq!(described.gated, Some(false));
    assert_eq!(described.entry.origin, Origin::Model);
    assert!(described.entry.runs.is_yes());
    assert_eq!(described.entry.context, Some(4096));
    assert!(described.entry.tags.contains(&"mlx".to_owned()));
    let estimate = described.memory_estimate(100, 2).unwrap();
    assert_eq!(estimate.weight_bytes, 300_000);
    assert_eq!(estimate.kv_bytes, 100 * 2 * 2 * 2 * 8 * 2);
    let stats = world.server.stats();
    assert_eq!((stats.api_requests, stats.gets()), (1, 2));
}

#[tokio::test]
async fn files_tell_without_a_question() {
    let world = World::new();
    let path = world.store.open(ID).await.unwrap().configuration.path;
    world.requests();
    let model = world.store.find(ID).unwrap();
    let described = world.store.describe(&model).await.unwrap();
    assert_eq!(described.path, Some(path.clone()));
    assert_eq!(described.weight_bytes, Some(300_000));
    let local = world.store.find(path.to_str().unwrap()).unwrap();
    let by_path = world.store.describe(&local).await.unwrap();
    assert_eq!(by_path.entry.parameters, described.entry.parameters);
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn the_registry_tells_where_nobody_else_can() {
    let world = World::new();
    let offline = world.offline();
    let listed = offline.find("qwen3-0.6b").unwrap();
    let described = offline.describe(&listed).await.unwrap();
    assert_eq!(described.entry.origin, Origin::BuiltIn);
    assert_eq!(described.path, None);
    assert!(described.memory_estimate(4096, 2).is_some());
    let unlisted = offline.find(ID).unwrap();
    let error = offline.describe(&unlisted).await.unwrap_err();
    assert!(matches!(error, StoreError::NotHere { .. }), "{error:?}");
    let nowhere = offline.find("/no/such/model").unwrap();
    let error = offline.describe(&nowhere).await.unwrap_err();
    assert!(matches!(error, StoreError::Engine(_)), "{error:?}");
}

#[tokio::test]
async fn a_list_says_what_files_do_not() {
    let world = World::new();
    let list = format!(
        "[[model]]\nname = \"tiny\"\nrepo = \"{ID}\"\nfamily = \"Tiny\"\nlicense = \"mine\"\n\
         parameters = 5\n"
    );
    let store = super::builder(world.server.url(), world.home.path())
        .registry(registry(&list))
        .build()
        .unwrap();
    let model = store.find("tiny").unwrap();
    let described = store.describe(&model).await.unwrap();
    assert_eq!(described.entry.name, "tiny");
    assert_eq!(described.entry.family.as_deref(), Some("Tiny"));
    assert_eq!(described.entry.license.as_deref(), Some("mine"));
    // What the files say exactly counts more.
    assert!(described.entry.parameters > Some(5));
}

#[tokio::test]
async fn a_description_is_json() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let described = world.store.describe(&model).await.unwrap();
    let json = serde_json::to_value(&described).unwrap();
    assert_eq!(json["name"], "tiny-4bit");
    assert_eq!(json["place"]["hub"]["repo"], ID);
    assert_eq!(json["weight_bytes"], 300_000);
    assert_eq!(json["runs"]["state"], "yes");
}
