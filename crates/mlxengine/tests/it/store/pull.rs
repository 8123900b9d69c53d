//! Fetching.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use hub_fault_server::{Content, Fault, FaultServer, Repo, Settings, Stage};
use mlxengine::{
    StoreError,
    downloader::{CancellationToken, Error as DownloadError, RepoFolder, Selection},
    hub::{HubError, Token},
};

use super::{ID, World, builder, repo};

fn names(folder: &std::path::Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn what_a_model_needs_is_fetched_verified_and_named_by_its_commit() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let pulled = world.store.pull(model).await.unwrap();
    let wanted = [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ];
    assert_eq!(names(&pulled.path), wanted.map(str::to_owned).into());
    let weights = std::fs::read(pulled.path.join("model.safetensors")).unwrap();
    assert_eq!(weights, Content::noise(1, 300_000).to_vec());
    assert_eq!(pulled.received, pulled.bytes);
    assert!(pulled.not_asked.is_none());
    let commit = repo().commit().to_owned();
    assert_eq!(pulled.model.commit.as_deref(), Some(commit.as_str()));
    assert!(
        pulled
            .path
            .ends_with(format!("models--org--tiny-4bit/snapshots/{commit}"))
    );
    // One question about the model, and for each file one where it is and one for its bytes.
    let stats = world.server.stats();
    assert_eq!((stats.api_requests, stats.heads(), stats.gets()), (1, 4, 4));
    assert_eq!(stats.leaked_tokens, 0);
}

#[tokio::test]
async fn the_configuration_is_what_the_files_say() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let configuration = world.store.pull(model).await.unwrap().model.configuration;
    assert_eq!(configuration.name, "tiny-4bit");
    assert_eq!(configuration.generate.temperature, 0.3);
    assert_eq!(configuration.generate.top_k, Some(7));
    assert_eq!(configuration.quantization.unwrap().bits, 4);
    assert!(configuration.parameters.is_some());
    configuration.validate().unwrap();
}

#[tokio::test]
async fn a_second_time_asks_once_and_fetches_nothing() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    world.store.pull(model.clone()).await.unwrap();
    world.requests();
    let again = world.store.pull(model.clone()).await.unwrap();
    assert_eq!(again.received, 0);
    assert_eq!(world.requests(), 1);
    // A commit is for ever: nobody is asked.
    let pinned = world
        .store
        .find(&format!("{ID}@{}", repo().commit()))
        .unwrap();
    assert_eq!(world.store.pull(pinned).await.unwrap().received, 0);
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn a_moved_branch_brings_what_is_new_and_nothing_else() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let first = world.store.pull(model.clone()).await.unwrap();
    let changed = Content::bytes("{\"added\": 1}");
    let commit = "a".repeat(40);
    world.server.put(
        Repo::new(ID)
            .at_commit(&commit)
            .file("config.json", super::config())
            .file("tokenizer.json", changed.clone())
            .lfs("model.safetensors", Content::noise(1, 300_000)),
    );
    let second = world.store.pull(model).await.unwrap();
    assert_eq!(second.received, changed.length());
    assert_eq!(second.model.commit, Some(commit));
    assert_ne!(first.path, second.path);
    assert!(first.path.join("model.safetensors").exists());
}

#[tokio::test]
async fn a_preview_counts_and_writes_nothing() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let preview = world.store.pull(model.clone()).preview().await.unwrap();
    assert_eq!(preview.files.len(), 4);
    assert!(preview.bytes_to_fetch > 300_000);
    assert_eq!(names(world.home.path()), BTreeSet::new());
    world.store.pull(model.clone()).await.unwrap();
    let preview = world.store.pull(model).preview().await.unwrap();
    assert_eq!(preview.bytes_to_fetch, 0);
    assert!(preview.files.iter().all(|file| file.complete));
}

#[tokio::test]
async fn a_selection_brings_what_it_names_but_no_pickles() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let selection = Selection::new(["*.md", "*.bin"], []).unwrap();
    let pulled = world.store.pull(model).select(selection).await.unwrap();
    assert_eq!(
        names(&pulled.path),
        BTreeSet::from(["README.md".to_owned()])
    );
}

#[tokio::test]
async fn progress_ends_with_everything() {
    let world = World::new();
    let model = world.store.find(ID).unwrap();
    let (pull, progress) = world.store.pull(model).progress_stream();
    let (pulled, steps) = tokio::join!(pull.into_future(), progress.collect::<Vec<_>>());
    let pulled = pulled.unwrap();
    let last = steps.last().unwrap();
    assert_eq!(last.total, Some(pulled.bytes));
    assert_eq!(last.bytes, pulled.bytes);
    assert_eq!(last.files.len(), 4);
}

#[tokio::test]
async fn a_broken_connection_is_no_more_than_a_delay() {
    let world = World::new();
    let cut = Fault::Cut {
        after: 100_000,
        reset: true,
    };
    world.server.script(Stage::Body, "model.safetensors", [cut]);
    world
        .server
        .script(Stage::Head, "model.safetensors", [Fault::status(503)]);
    let model = world.store.find(ID).unwrap();
    let pulled = world.store.pull(model).await.unwrap();
    let weights = std::fs::read(pulled.path.join("model.safetensors")).unwrap();
    assert_eq!(weights, Content::noise(1, 300_000).to_vec());
    assert_eq!(world.server.stats().faults.len(), 2);
}

#[tokio::test]
async fn a_cancelled_fetch_leaves_no_model_and_goes_on_later() {
    // More than is ever kept back before it is written.
    const SIZE: u64 = 24_000_000;
    let large = Repo::new(ID)
        .file("config.json", super::config())
        .lfs("model.safetensors", Content::noise(1, SIZE));
    let world = World::with(large);
    let stall = Fault::Stall { after: 6_000_000 };
    world
        .server
        .script(Stage::Body, "model.safetensors", [stall]);
    let model = world.store.find(ID).unwrap();
    let token = CancellationToken::new();
    let (pull, mut progress) = world
        .store
        .pull(model.clone())
        .cancelled_by(token.clone())
        .progress_stream();
    let cancel = async {
        while let Some(step) = progress.next().await {
            if step.bytes >= 2_000_000 {
                token.cancel();
            }
        }
    };
    let (result, ()) = tokio::join!(pull.into_future(), cancel);
    let error = result.unwrap_err();
    assert!(
        matches!(error, StoreError::Download(DownloadError::Cancelled)),
        "{error:?}"
    );
    assert!(world.store.open_cached(&model).await.unwrap().is_none());
    let pulled = world.store.pull(model).await.unwrap();
    assert!(pulled.received <= SIZE - 2_000_000, "{}", pulled.received);
}

#[tokio::test]
async fn weights_in_other_forms_are_told_apart() {
    let pickles = Repo::new(ID)
        .file("config.json", super::config())
        .lfs("pytorch_model.bin", Content::noise(1, 10))
        .lfs("model-00001-of-00002.gguf", Content::noise(1, 10));
    let world = World::with(pickles);
    let model = world.store.find(ID).unwrap();
    let error = world.store.pull(model).await.unwrap_err();
    let StoreError::NoWeights { found, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(found, &["pytorch_model.bin", "model-00001-of-00002.gguf"]);
    assert!(error.suggestion().contains("safetensors"));
}

#[tokio::test]
async fn what_the_hub_says_no_to_is_said_so() {
    let world = World::new();
    let absent = world.store.find("org/absent").unwrap();
    let error = world.store.pull(absent).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Hub(HubError::RepositoryNotFound { .. })),
        "{error:?}"
    );
    let wrong = world.store.find(&format!("{ID}@v9")).unwrap();
    let error = world.store.pull(wrong).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Hub(HubError::RevisionNotFound { .. })),
        "{error:?}"
    );
    let local = world.store.find("/no/such/model").unwrap();
    let error = world.store.pull(local).await.unwrap_err();
    assert!(matches!(error, StoreError::Local { .. }), "{error:?}");
}

#[tokio::test]
async fn a_gated_model_needs_a_token_which_stays_with_the_hub() {
    let settings = Settings {
        tokens: vec!["hf_good".to_owned()],
        ..Settings::default()
    };
    let server = FaultServer::start_with(settings, [repo().gated().masked()]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let anonymous = builder(server.url(), home.path()).build().unwrap();
    let model = anonymous.find(ID).unwrap();
    let error = anonymous.pull(model.clone()).await.unwrap_err();
    let text = format!("{error} {}", error.suggestion());
    assert!(text.contains("mlxengine login"), "{text}");

    let token = Token::new("hf_good").unwrap();
    let member = builder(server.url(), home.path())
        .token(token)
        .build()
        .unwrap();
    let pulled = member.pull(model).await.unwrap();
    let weights = std::fs::read(pulled.path.join("model.safetensors")).unwrap();
    assert_eq!(weights, Content::noise(1, 300_000).to_vec());
    assert_eq!(server.stats().leaked_tokens, 0);
}

#[tokio::test]
async fn a_hostile_listing_writes_nothing() {
    let hostile = repo().file("../../evil.json", Content::bytes("{}"));
    let world = World::with(hostile);
    let model = world.store.find(ID).unwrap();
    let error = world.store.pull(model).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Hub(HubError::Decode { .. })),
        "{error:?}"
    );
    assert_eq!(names(world.home.path()), BTreeSet::new());
}

#[tokio::test]
async fn a_renamed_model_is_kept_under_the_name_that_was_asked_for() {
    let world = World::with(repo().renamed_from("old/tiny"));
    let model = world.store.find("old/tiny").unwrap();
    let pulled = world.store.pull(model).await.unwrap();
    assert!(pulled.path.to_string_lossy().contains("models--old--tiny"));
    let folder = RepoFolder::of_model("old/tiny").unwrap();
    assert!(world.store.cache().resolve(&folder, "main").is_some());
}
