//! Lists of files.

use futures_util::StreamExt as _;
use hub_client::{BlobId, Depth, HubError, TreeEntry};
use serde_json::json;
use wiremock::{Mock, MockServer, matchers::query_param};

use super::server::{
    GIT_SHA1, SHA256, client, file, json as answer, main_branch, on_get, repo, requests,
};

#[tokio::test]
async fn files_and_folders_of_all_pages_are_listed() {
    let server = MockServer::start().await;
    Mock::given(query_param("cursor", "x"))
        .respond_with(answer(json!([
            {"type": "file", "oid": GIT_SHA1, "size": 3, "path": "onnx/config.json"},
        ])))
        .with_priority(1)
        .mount(&server)
        .await;
    let first = answer(json!([
        {"type": "directory", "oid": GIT_SHA1, "size": 0, "path": "onnx"},
        {"type": "file", "oid": GIT_SHA1, "size": 10, "path": "model.safetensors",
         "lfs": {"oid": SHA256, "size": 10, "pointerSize": 134}, "xetHash": SHA256},
    ]));
    let link = "</api/models/org/name/tree/main?recursive=true&cursor=x>; rel=\"next\"";
    let route = "/api/models/org/name/tree/main";
    on_get(&server, route, first.insert_header("link", link)).await;

    let client = client(&server);
    let pages: Vec<_> = client
        .tree(&repo(), &main_branch(), None, Depth::Recursive)
        .collect()
        .await;
    assert_eq!(pages.len(), 2);
    let entries = pages[0].as_ref().unwrap();
    assert_eq!(entries[0], TreeEntry::Folder { path: file("onnx") });

    let files = client.files(&repo(), &main_branch()).await.unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["model.safetensors", "onnx/config.json"]);
    assert_eq!(files[0].blob, Some(BlobId::new(SHA256)));
    assert_eq!(files[1].blob, Some(BlobId::new(GIT_SHA1)));
}

#[tokio::test]
async fn a_folder_is_one_part_of_the_address() {
    let server = MockServer::start().await;
    let route = "/api/models/org/name/tree/main/a%2Fb%20c";
    on_get(&server, route, answer(json!([]))).await;
    let folder = file("a/b c");
    let pages = client(&server).tree(&repo(), &main_branch(), Some(&folder), Depth::Flat);
    assert_eq!(pages.count().await, 1);
    let request = requests(&server).await.remove(0);
    assert_eq!(request.url.query(), Some("recursive=false"));
}

#[tokio::test]
async fn masked_hashes_are_unknown_and_hostile_names_refused() {
    let server = MockServer::start().await;
    let route = "/api/models/org/name/tree/main";
    let masked = "*".repeat(64);
    let list = json!([{"type": "file", "oid": GIT_SHA1, "size": 10, "path": "a.safetensors",
        "lfs": {"oid": masked, "size": 10, "pointerSize": 1}, "xetHash": masked}]);
    on_get(&server, route, answer(list)).await;
    let files = client(&server)
        .files(&repo(), &main_branch())
        .await
        .unwrap();
    assert_eq!((files[0].size, files[0].blob.as_ref()), (Some(10), None));

    server.reset().await;
    let list = json!([{"type": "file", "oid": GIT_SHA1, "size": 1, "path": "C:\\evil"}]);
    on_get(&server, route, answer(list)).await;
    let error = client(&server).files(&repo(), &main_branch()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, HubError::Decode { .. }), "{error:?}");
}
