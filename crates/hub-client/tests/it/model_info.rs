//! What is known about a model.

use hub_client::{BlobId, HubError, Revision};
use serde_json::json;
use wiremock::MockServer;

use super::server::{
    COMMIT, GIT_SHA1, SHA256, client, json as answer, main_branch, on_get, redirect, repo, requests,
};

fn info(siblings: &serde_json::Value) -> serde_json::Value {
    json!({
        "_id": "621ff", "id": "org/name", "sha": COMMIT, "author": "org",
        "lastModified": "2025-04-28T00:00:00.000Z", "createdAt": "2025-04-27T00:00:00.000Z",
        "private": false, "gated": "auto", "disabled": false, "downloads": 12, "likes": 3,
        "tags": ["mlx", "en"], "pipeline_tag": "text-generation", "library_name": "mlx",
        "siblings": siblings,
        "safetensors": {"parameters": {"U32": 10, "BF16": 2}, "total": 12},
        "cardData": {"license": "apache-2.0", "base_model": "org/base", "language": ["en"], "x": 1},
        "config": {"model_type": "qwen3"}, "usedStorage": 99, "spaces": [], "model-index": null,
        "inferenceProviderMapping": {},
    })
}

#[tokio::test]
async fn every_field_is_read() {
    let server = MockServer::start().await;
    let siblings = json!([
        {"rfilename": "config.json", "size": 7, "blobId": GIT_SHA1},
        {"rfilename": "model.safetensors", "size": 100, "blobId": GIT_SHA1,
         "lfs": {"size": 100, "sha256": SHA256, "pointerSize": 134}},
    ]);
    on_get(
        &server,
        "/api/models/org/name/revision/main",
        answer(info(&siblings)),
    )
    .await;
    let info = client(&server)
        .model_info(&repo(), &main_branch())
        .await
        .unwrap();

    assert_eq!(info.sha.as_ref().unwrap().as_str(), COMMIT);
    assert_eq!(info.gated, hub_client::Gated::Auto);
    assert_eq!((info.downloads, info.likes), (Some(12), Some(3)));
    assert_eq!(info.pipeline_tag.as_deref(), Some("text-generation"));
    assert_eq!(info.library_name.as_deref(), Some("mlx"));
    assert_eq!(
        info.last_modified.as_deref(),
        Some("2025-04-28T00:00:00.000Z")
    );
    assert_eq!(info.safetensors.as_ref().unwrap().total, Some(12));
    assert_eq!(info.used_storage, Some(99));
    let card = info.card_data.as_ref().unwrap();
    assert_eq!(card.license.as_deref(), Some("apache-2.0"));
    assert_eq!(card.base_model, ["org/base"]);
    assert_eq!(card.other["x"], 1);
    assert_eq!(info.config.as_ref().unwrap()["model_type"], "qwen3");
    assert_eq!(info.total_size(), Some(107));

    let [config, weights] = &info.files[..] else {
        panic!("{:?}", info.files);
    };
    assert_eq!(config.blob, Some(BlobId::new(GIT_SHA1)));
    assert!(!config.lfs && weights.lfs);
    assert_eq!(weights.blob.as_ref().unwrap().as_sha256(), Some(SHA256));
    let query = requests(&server).await[0].url.query().unwrap().to_owned();
    assert_eq!(query, "blobs=true");
}

#[tokio::test]
async fn masked_hashes_are_unknown() {
    let server = MockServer::start().await;
    let masked = "*".repeat(64);
    let siblings = json!([
        {"rfilename": "a.safetensors", "size": 5, "blobId": GIT_SHA1,
         "lfs": {"size": 5, "sha256": masked, "pointerSize": 134}},
        {"rfilename": "b.json", "size": 5, "blobId": "*".repeat(40)},
    ]);
    on_get(
        &server,
        "/api/models/org/name/revision/main",
        answer(info(&siblings)),
    )
    .await;
    let info = client(&server)
        .model_info(&repo(), &main_branch())
        .await
        .unwrap();
    assert_eq!(info.files[0].blob, None);
    assert_eq!(info.files[0].size, Some(5));
    assert_eq!(info.files[1].blob, None);
}

#[tokio::test]
async fn a_revision_is_one_part_of_the_address() {
    let server = MockServer::start().await;
    let route = "/api/models/org/name/revision/refs%2Fpr%2F1";
    on_get(&server, route, answer(info(&json!([])))).await;
    let revision: Revision = "refs/pr/1".parse().unwrap();
    client(&server)
        .model_info(&repo(), &revision)
        .await
        .unwrap();
    assert_eq!(requests(&server).await[0].url.path(), route);
}

#[tokio::test]
async fn a_hostile_name_spoils_the_answer() {
    let server = MockServer::start().await;
    let siblings = json!([{"rfilename": "../../.bashrc"}]);
    on_get(
        &server,
        "/api/models/org/name/revision/main",
        answer(info(&siblings)),
    )
    .await;
    let error = client(&server).model_info(&repo(), &main_branch()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, HubError::Decode { .. }), "{error:?}");
    assert!(error.to_string().contains("../../.bashrc"), "{error}");
}

#[tokio::test]
async fn a_renamed_model_is_found_under_its_new_name() {
    let server = MockServer::start().await;
    let moved = "/api/models/org/name/revision/main?blobs=true";
    on_get(
        &server,
        "/api/models/old/name/revision/main",
        redirect(307, moved),
    )
    .await;
    on_get(
        &server,
        "/api/models/org/name/revision/main",
        answer(info(&json!([]))),
    )
    .await;
    let old = "old/name".parse().unwrap();
    let info = client(&server)
        .model_info(&old, &main_branch())
        .await
        .unwrap();
    assert_eq!(info.id.as_str(), "org/name");
}

#[tokio::test]
async fn what_is_no_json_is_a_decoding_error() {
    let server = MockServer::start().await;
    for body in ["<html>log in</html>", "{\"id\": 1}", "{\"id\": \"a/b\"", ""] {
        server.reset().await;
        let page = wiremock::ResponseTemplate::new(200).set_body_string(body);
        on_get(&server, "/api/models/org/name/revision/main", page).await;
        let error = client(&server).model_info(&repo(), &main_branch()).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, HubError::Decode { .. }),
            "{body}: {error:?}"
        );
    }
}
