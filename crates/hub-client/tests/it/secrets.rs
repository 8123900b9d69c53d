//! The token shows up in requests to the Hub, and nowhere else.

use std::{error::Error as _, fmt::Write as _};

use hub_client::{HubError, ModelQuery, RetryPolicy};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, method, path},
};

use super::{
    log::Log,
    server::{
        COMMIT, SECRET, builder, carries_token, client_with_token, file, main_branch, repo,
        requests,
    },
};

/// An error as a person or a log could see it, causes included.
fn shown(error: &HubError) -> String {
    let mut text = format!(
        "{error} {error:?} {:?} {}",
        error.reply(),
        error.suggestion()
    );
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

#[tokio::test(start_paused = true)]
async fn no_log_line_and_no_error_holds_a_secret() {
    let (log, guard) = Log::of_this_thread();

    // A server that repeats what it is told, asks to try again, and signs where it leads.
    let server = MockServer::start().await;
    let echo = json!({"error": format!("bad token {SECRET}")});
    Mock::given(path("/api/whoami-v2"))
        .respond_with(ResponseTemplate::new(401).set_body_json(&echo))
        .mount(&server)
        .await;
    Mock::given(method("HEAD"))
        .respond_with(
            ResponseTemplate::new(302)
                .insert_header("location", "http://127.0.0.1:9/blob?Signature=s1gned")
                .insert_header("x-repo-commit", COMMIT),
        )
        .mount(&server)
        .await;
    Mock::given(path("/org/name/resolve/main/signed"))
        .respond_with(
            ResponseTemplate::new(302)
                .insert_header("location", "http://127.0.0.1:9/blob?Signature=s1gned"),
        )
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(
            ResponseTemplate::new(503)
                .insert_header("x-error-message", SECRET)
                .insert_header("x-request-id", SECRET)
                .insert_header("x-error-code", SECRET),
        )
        .with_priority(200)
        .mount(&server)
        .await;

    let client = builder(&server)
        .token(hub_client::Token::new(SECRET).unwrap())
        .retry(RetryPolicy::default().with_retries(1))
        .build()
        .unwrap();
    let found = client.resolve(&repo(), &main_branch(), &file("a")).await;
    let errors = [
        client.whoami().await.unwrap_err(),
        client
            .model_info(&repo(), &main_branch())
            .await
            .unwrap_err(),
        // Nobody listens there.
        client
            .read_file(&repo(), &main_branch(), &file("signed"), 10)
            .await
            .unwrap_err(),
    ];
    let mut text = format!("{client:?} {:?} ", found.unwrap());
    for error in &errors {
        text.push_str(&shown(error));
    }
    drop(guard);
    assert!(requests(&server).await.iter().all(carries_token));
    let log = log.text();
    assert!(log.contains("trying again"), "{log}");
    for secret in [SECRET, "s1gned"] {
        assert!(!text.contains(secret), "{text}");
        // What other crates log at their finest level is theirs, except for the token.
        let ours: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("hub_client"))
            .collect();
        assert!(!ours.iter().any(|line| line.contains(secret)), "{ours:?}");
    }
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn a_token_and_all_that_holds_it_hide_it() {
    let token = hub_client::Token::new(SECRET).unwrap();
    let builder = hub_client::HubClient::builder().token(token.clone());
    let shown = format!("{token:?} {builder:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn the_token_is_never_part_of_an_address() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
        .mount(&server)
        .await;
    let client = client_with_token(&server);
    let query = ModelQuery::mlx().search("x");
    client.search_models(&query).collect_all().await.unwrap();
    client.files(&repo(), &main_branch()).await.unwrap();
    let requests = requests(&server).await;
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(carries_token(&request));
        assert!(!request.url.as_str().contains(SECRET));
    }
}
