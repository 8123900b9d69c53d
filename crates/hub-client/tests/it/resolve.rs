//! Where bytes are, and who may see the token there.

use hub_client::{BlobId, CommitHash, HubError, Revision};
use wiremock::{MockServer, ResponseTemplate};

use super::server::{
    COMMIT, GIT_SHA1, SHA256, carries_token, client, client_with_token, file, main_branch, on_get,
    on_head, redirect, repo, requests,
};

const ROUTE: &str = "/org/name/resolve/main/model.safetensors";

fn small_file() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("x-repo-commit", COMMIT)
        .insert_header("etag", format!("\"{GIT_SHA1}\""))
        .insert_header("content-length", "7")
}

fn large_file(location: &str) -> ResponseTemplate {
    redirect(302, location)
        .insert_header("x-repo-commit", COMMIT)
        .insert_header("x-linked-etag", format!("\"{SHA256}\""))
        .insert_header("x-linked-size", "123456789")
        .insert_header("etag", "\"of-the-redirect\"")
        .insert_header("content-length", "341")
}

#[tokio::test]
async fn a_small_file_lies_on_the_hub_itself() {
    let server = MockServer::start().await;
    on_head(
        &server,
        "/org/name/resolve/main/a/config.json",
        small_file(),
    )
    .await;
    let client = client_with_token(&server);
    let path = file("a/config.json");
    let found = client
        .resolve(&repo(), &main_branch(), &path)
        .await
        .unwrap();
    assert_eq!(found.commit, CommitHash::parse(COMMIT).unwrap());
    assert_eq!(found.blob, Some(BlobId::new(GIT_SHA1)));
    assert_eq!(found.size, Some(7));
    let expected = format!("{}/org/name/resolve/main/a/config.json", server.uri());
    assert_eq!(found.location.as_url().as_str(), expected);
    assert!(found.token().is_some());
}

#[tokio::test]
async fn a_large_file_lies_elsewhere_where_the_token_must_not_go() {
    let server = MockServer::start().await;
    let storage = MockServer::start().await;
    let signed = format!("{}/blob?X-Amz-Signature=sig-na-ture", storage.uri());
    on_head(&server, ROUTE, large_file(&signed)).await;
    let client = client_with_token(&server);
    let path = file("model.safetensors");
    let found = client
        .resolve(&repo(), &main_branch(), &path)
        .await
        .unwrap();
    assert_eq!(found.blob.as_ref().unwrap().as_sha256(), Some(SHA256));
    assert_eq!(found.size, Some(123_456_789));
    assert_eq!(found.location.as_url().as_str(), signed);
    assert!(found.token().is_none());
    assert!(requests(&storage).await.is_empty());
    // Whoever prints it does not print the signature.
    let shown = format!("{found:?} {}", found.location);
    assert!(!shown.contains("sig-na-ture"), "{shown}");
}

#[tokio::test]
async fn no_compressed_answer_is_asked_for() {
    let server = MockServer::start().await;
    on_head(&server, ROUTE, small_file()).await;
    let path = file("model.safetensors");
    client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await
        .unwrap();
    let request = requests(&server).await.remove(0);
    assert_eq!(request.headers["accept-encoding"], "identity");
    let agent = request.headers["user-agent"].to_str().unwrap();
    assert!(agent.starts_with("mlxengine/"), "{agent}");
    assert!(!request.headers.contains_key("authorization"));
    assert!(!request.headers.contains_key("referer"));
}

#[tokio::test]
async fn a_renamed_repository_is_followed_with_the_token() {
    let server = MockServer::start().await;
    on_head(
        &server,
        "/old/name/resolve/main/model.safetensors",
        redirect(307, ROUTE),
    )
    .await;
    on_head(&server, ROUTE, small_file()).await;
    let client = client_with_token(&server);
    let old = "old/name".parse().unwrap();
    let path = file("model.safetensors");
    let found = client.resolve(&old, &main_branch(), &path).await.unwrap();
    assert_eq!(found.location.as_url().path(), ROUTE);
    assert!(found.token().is_some());
    assert!(requests(&server).await.iter().all(carries_token));
}

#[tokio::test]
async fn a_redirects_own_length_is_not_the_files() {
    let server = MockServer::start().await;
    let answer = redirect(302, "http://127.0.0.1:9/blob")
        .insert_header("x-repo-commit", COMMIT)
        .insert_header("x-linked-etag", format!("\"{SHA256}\""))
        .insert_header("content-length", "341");
    on_head(&server, ROUTE, answer).await;
    let path = file("model.safetensors");
    let found = client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await;
    assert_eq!(found.unwrap().size, None);
}

#[tokio::test]
async fn a_compressed_answers_length_is_not_the_files() {
    let server = MockServer::start().await;
    let answer = small_file().insert_header("content-encoding", "gzip");
    on_head(&server, ROUTE, answer).await;
    let path = file("model.safetensors");
    let found = client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await;
    assert_eq!(found.unwrap().size, None);
}

#[tokio::test]
async fn a_hostile_etag_is_opaque_and_no_name_of_a_file() {
    let server = MockServer::start().await;
    let answer = small_file().insert_header("x-linked-etag", "\"../../../../PWN\"");
    on_head(&server, ROUTE, answer).await;
    let path = file("model.safetensors");
    let found = client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await;
    let blob = found.unwrap().blob.unwrap();
    assert_eq!(blob, BlobId::Opaque("../../../../PWN".to_owned()));
    assert_eq!(blob.file_name(), None);
}

#[tokio::test]
async fn a_hostile_commit_is_refused() {
    let server = MockServer::start().await;
    let answer = small_file().insert_header("x-repo-commit", "../../x");
    on_head(&server, ROUTE, answer).await;
    let path = file("model.safetensors");
    let found = client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await;
    let error = found.unwrap_err();
    assert!(matches!(error, HubError::InvalidName(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_names_no_commit_is_no_hub_unless_it_was_asked_for_one() {
    let server = MockServer::start().await;
    let mute = || ResponseTemplate::new(200).insert_header("etag", format!("\"{GIT_SHA1}\""));
    on_head(&server, ROUTE, mute()).await;
    let path = file("model.safetensors");
    let found = client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await;
    let error = found.unwrap_err();
    assert!(matches!(error, HubError::NotAHub { .. }), "{error:?}");

    let route = format!("/org/name/resolve/{COMMIT}/model.safetensors");
    on_head(&server, &route, mute()).await;
    let revision: Revision = COMMIT.parse().unwrap();
    let found = client(&server).resolve(&repo(), &revision, &path).await;
    assert_eq!(found.unwrap().commit.as_str(), COMMIT);
}

#[tokio::test]
async fn odd_names_keep_their_slashes_and_nothing_else() {
    let server = MockServer::start().await;
    let route = "/org/name/resolve/refs%2Fpr%2F1/a%20b/%5B1%5D%3F%23%25.json";
    on_head(&server, route, small_file()).await;
    let revision: Revision = "refs/pr/1".parse().unwrap();
    let path = file("a b/[1]?#%.json");
    client(&server)
        .resolve(&repo(), &revision, &path)
        .await
        .unwrap();
}

#[tokio::test]
async fn too_many_redirects_end() {
    let server = MockServer::start().await;
    on_head(&server, ROUTE, redirect(302, ROUTE)).await;
    let path = file("model.safetensors");
    let found = client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await;
    let error = found.unwrap_err();
    assert!(
        matches!(error, HubError::RefusedRedirect { .. }),
        "{error:?}"
    );
    assert_eq!(requests(&server).await.len(), 21);
}

#[tokio::test]
async fn a_redirect_away_from_http_is_refused() {
    let server = MockServer::start().await;
    for target in ["file:///etc/passwd", "ftp://host/x", "data:,x"] {
        server.reset().await;
        on_head(&server, ROUTE, redirect(302, target)).await;
        let path = file("model.safetensors");
        let found = client(&server)
            .resolve(&repo(), &main_branch(), &path)
            .await;
        let error = found.unwrap_err();
        assert!(
            matches!(error, HubError::RefusedRedirect { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_body_is_fetched_from_elsewhere_without_the_token_and_never_with_it_again() {
    let server = MockServer::start().await;
    let storage = MockServer::start().await;
    let away = format!("{}/one", storage.uri());
    let back = format!("{}/two", server.uri());
    on_get(&server, ROUTE, redirect(302, &away)).await;
    on_get(&storage, "/one", redirect(302, &back)).await;
    on_get(
        &server,
        "/two",
        ResponseTemplate::new(200).set_body_string("bytes"),
    )
    .await;
    let client = client_with_token(&server);
    let path = file("model.safetensors");
    let bytes = client.read_file(&repo(), &main_branch(), &path, 100).await;
    assert_eq!(bytes.unwrap(), b"bytes");
    let with_token: Vec<bool> = requests(&server).await.iter().map(carries_token).collect();
    assert_eq!(with_token, [true, false]);
    assert!(!requests(&storage).await.iter().any(carries_token));
}

#[tokio::test]
async fn a_file_that_is_too_long_is_refused() {
    let server = MockServer::start().await;
    on_get(
        &server,
        ROUTE,
        ResponseTemplate::new(200).set_body_string("12345"),
    )
    .await;
    let client = client(&server);
    let path = file("model.safetensors");
    let (repo, branch) = (repo(), main_branch());
    let enough = client.read_file(&repo, &branch, &path, 5).await;
    assert_eq!(enough.unwrap(), b"12345");
    let error = client
        .read_file(&repo, &branch, &path, 4)
        .await
        .unwrap_err();
    assert!(matches!(error, HubError::Decode { .. }), "{error:?}");
}
