//! What the Hub wants people to be told.

use wiremock::{MockServer, ResponseTemplate};

use super::{
    log::Log,
    server::{
        SECRET, builder, client, client_with_token, json, main_branch, on_get, redirect, repo,
    },
};

const ROUTE: &str = "/api/models/org/name/revision/main";

fn info() -> ResponseTemplate {
    json(serde_json::json!({ "id": "org/name" }))
}

async fn hub(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    on_get(&server, ROUTE, answer).await;
    server
}

#[tokio::test]
async fn each_topic_is_told_once() {
    let answer = info()
        .append_header("X-HF-Warning", "quota; You have used 90 % of it.")
        .append_header("X-HF-Warning", "no topic at all");
    let server = hub(answer).await;
    let (log, _guard) = Log::of_this_thread();
    let builder = builder(&server);
    for client in [builder.clone().build().unwrap(), builder.build().unwrap()] {
        for _ in 0..2 {
            client.model_info(&repo(), &main_branch()).await.unwrap();
        }
    }
    let text = log.text();
    for warning in [
        "the Hub says: You have used 90 % of it.",
        "the Hub says: no topic at all",
    ] {
        assert_eq!(text.matches(warning).count(), 1, "{text}");
    }
    assert_eq!(text.matches("WARN").count(), 2, "{text}");
}

#[tokio::test]
async fn a_warning_comes_with_an_error_too() {
    let server = hub(ResponseTemplate::new(404).insert_header("X-HF-Warning", "old; Renamed."));
    let server = server.await;
    let (log, _guard) = Log::of_this_thread();
    let asked = client(&server);
    asked.model_info(&repo(), &main_branch()).await.unwrap_err();
    assert!(log.text().contains("the Hub says: Renamed."));
}

#[tokio::test]
async fn a_warning_is_one_line_without_secrets() {
    let text = format!("t;{SECRET} \t\u{85}[31mred{}", "x".repeat(5000));
    let server = hub(info().insert_header("X-HF-Warning", text.as_bytes())).await;
    let (log, _guard) = Log::of_this_thread();
    let asked = client_with_token(&server);
    asked.model_info(&repo(), &main_branch()).await.unwrap();
    let text = log.text();
    let line = text.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(line.contains("*** [31mred"), "{line}");
    assert!(line.len() < 500, "{line}");
    assert!(!text.contains(SECRET));
}

#[tokio::test]
async fn what_another_host_says_is_not_told() {
    let other = MockServer::start().await;
    on_get(
        &other,
        "/x",
        info().insert_header("X-HF-Warning", "t; Buy this."),
    )
    .await;
    let server = hub(redirect(302, &format!("{}/x", other.uri()))).await;
    let (log, _guard) = Log::of_this_thread();
    let asked = client(&server);
    asked.model_info(&repo(), &main_branch()).await.unwrap();
    assert!(!log.text().contains("Buy this"), "{}", log.text());
}
