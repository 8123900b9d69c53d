//! Which answer is which error.

use hub_client::{HubError, Revision};
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::server::{client, client_with_token, file, main_branch, repo};

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn coded(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).insert_header("x-error-code", code)
}

/// What asking for a model's info at `revision` ends in.
async fn info(answer: ResponseTemplate, revision: &str) -> HubError {
    let server = answering(answer).await;
    let revision: Revision = revision.parse().unwrap();
    let result = client(&server).model_info(&repo(), &revision).await;
    let error = result.unwrap_err();
    assert!(!error.suggestion().is_empty());
    error
}

/// What asking for a file ends in.
async fn resolve(answer: ResponseTemplate) -> HubError {
    let server = answering(answer).await;
    let path = file("config.json");
    let result = client(&server)
        .resolve(&repo(), &main_branch(), &path)
        .await;
    let error = result.unwrap_err();
    assert!(!error.suggestion().is_empty());
    error
}

#[tokio::test]
async fn codes_say_what_was_not_found() {
    let error = info(coded(404, "RepoNotFound"), "main").await;
    assert!(
        matches!(error, HubError::RepositoryNotFound { .. }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "there is no model org/name, or it is private"
    );

    let error = info(coded(404, "RevisionNotFound"), "v9").await;
    assert!(
        matches!(error, HubError::RevisionNotFound { .. }),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "org/name has no revision v9");

    let error = resolve(coded(404, "EntryNotFound")).await;
    assert!(matches!(error, HubError::FileNotFound { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "org/name has no file config.json at main"
    );

    let error = resolve(coded(404, "RevisionNotFound")).await;
    assert!(
        matches!(error, HubError::RevisionNotFound { .. }),
        "{error:?}"
    );
    let error = resolve(coded(404, "RepoNotFound")).await;
    assert!(
        matches!(error, HubError::RepositoryNotFound { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn without_a_code_the_question_says_what_was_not_found() {
    let plain = || ResponseTemplate::new(404);
    let error = info(plain(), "main").await;
    assert!(
        matches!(error, HubError::RepositoryNotFound { .. }),
        "{error:?}"
    );
    let error = info(plain(), "v9").await;
    assert!(
        matches!(error, HubError::RevisionNotFound { .. }),
        "{error:?}"
    );
    let error = resolve(plain()).await;
    assert!(matches!(error, HubError::FileNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_private_repository_looks_like_none() {
    for answer in [ResponseTemplate::new(401), coded(401, "RepoNotFound")] {
        let error = info(answer, "main").await;
        assert!(
            matches!(error, HubError::RepositoryNotFound { .. }),
            "{error:?}"
        );
        assert!(error.suggestion().contains("mlxengine login"));
    }
}

#[tokio::test]
async fn gates_are_told_apart_from_walls() {
    for status in [401, 403] {
        let answer =
            coded(status, "GatedRepo").insert_header("x-error-message", "You must ask for access.");
        let error = info(answer, "main").await;
        assert!(matches!(error, HubError::Gated { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .ends_with("gated: You must ask for access.")
        );
    }
    let closed = ResponseTemplate::new(403)
        .insert_header("x-error-message", "Access to this resource is disabled.");
    let error = info(closed, "main").await;
    assert!(matches!(error, HubError::Disabled { .. }), "{error:?}");
    let scope = ResponseTemplate::new(403).set_body_json(json!({"error": "Missing scope"}));
    let error = info(scope, "main").await;
    assert!(matches!(error, HubError::Forbidden { .. }), "{error:?}");
    assert!(error.to_string().ends_with(": Missing scope"), "{error}");
}

#[tokio::test]
async fn a_token_that_the_hub_does_not_know_is_said_so() {
    let answer = || {
        let message = "Invalid credentials in Authorization header";
        ResponseTemplate::new(401).set_body_json(json!({ "error": message }))
    };
    let server = answering(answer()).await;
    let client = client_with_token(&server);
    let error = client
        .model_info(&repo(), &main_branch())
        .await
        .unwrap_err();
    assert!(matches!(error, HubError::InvalidToken { .. }), "{error:?}");
    let server = answering(ResponseTemplate::new(401)).await;
    let error = client_with_token(&server).whoami().await.unwrap_err();
    assert!(matches!(error, HubError::InvalidToken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_search_that_needs_a_user_says_so() {
    let query = hub_client::ModelQuery::new();
    for (status, wanted) in [(401, "AuthenticationRequired"), (403, "Forbidden")] {
        let server = answering(ResponseTemplate::new(status)).await;
        let error = client(&server).search_models(&query).collect_all().await;
        let error = error.unwrap_err();
        assert!(format!("{error:?}").starts_with(wanted), "{error:?}");
    }
}

#[tokio::test]
async fn too_many_requests_say_when() {
    let answer = ResponseTemplate::new(429).insert_header("retry-after", "7");
    let error = info(answer, "main").await;
    assert!(matches!(error, HubError::RateLimited { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the server limits the rate of requests; it asks to wait 7 s"
    );
    let error = info(ResponseTemplate::new(429), "main").await;
    assert_eq!(error.retry_after(), None);
}

#[tokio::test]
async fn every_other_status_is_told_with_the_servers_words() {
    for (status, body, said) in [
        (500, r#"{"error": "one"}"#, ": one"),
        (500, r#"{"error": ["one", "two"]}"#, ": one; two"),
        (500, r#"{"errors": [{"message": "one"}, {}]}"#, ": one"),
        (
            500,
            r#"{"error": "x", "error_description": "one"}"#,
            ": one",
        ),
        (418, "<html>", ""),
        (304, "", ""),
        (416, "[]", ""),
    ] {
        let answer = ResponseTemplate::new(status)
            .set_body_string(body)
            .insert_header("x-request-id", "Root=1-abc");
        let error = info(answer, "main").await;
        let expected = format!(
            "the server answered with status {status} while trying to read about org/name{said}"
        );
        assert_eq!(error.to_string(), expected);
        let reply = error.reply().unwrap();
        assert_eq!(reply.status, status);
        assert_eq!(reply.request_id.as_deref(), Some("Root=1-abc"));
        assert!(!reply.url.contains('?'), "{}", reply.url);
    }
}

#[tokio::test]
async fn a_servers_words_cant_take_over_the_terminal() {
    let words = format!("\u{1b}[2J\u{7}evil\r\n{}", "x".repeat(10_000));
    let answer = ResponseTemplate::new(500).set_body_json(json!({ "error": words }));
    let text = info(answer, "main").await.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.len() < 500, "{}", text.len());
}

#[tokio::test]
async fn names_that_cant_be_are_refused_before_anything_is_sent() {
    let error: HubError = hub_client::RepoId::parse("a/b/c").unwrap_err().into();
    assert!(matches!(error, HubError::InvalidName(_)));
    assert!(
        error
            .to_string()
            .contains("\"a/b/c\" is not a valid repository name")
    );
    assert!(!error.suggestion().is_empty());
}
