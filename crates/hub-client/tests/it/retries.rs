//! Trying again, on tokio's paused clock against a real server.

use std::time::Duration;

use hub_client::{HubError, RetryPolicy};
use serde_json::json;
use tokio::time::Instant;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::server::{builder, json as answer, main_branch, repo, requests};

fn model() -> ResponseTemplate {
    answer(json!({"id": "org/name"}))
}

/// Closes the connection after each answer: one that is kept has a timer of its own, which would
/// move the paused clock.
async fn server(first: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    for (at, answer) in first.into_iter().enumerate() {
        Mock::given(method("GET"))
            .respond_with(answer.insert_header("connection", "close"))
            .up_to_n_times(1)
            .with_priority(at as u8 + 1)
            .mount(&server)
            .await;
    }
    Mock::given(method("GET"))
        .respond_with(model().insert_header("connection", "close"))
        .with_priority(200)
        .mount(&server)
        .await;
    server
}

/// The outcome, the requests that it took, and the time.
async fn ask(server: &MockServer, policy: RetryPolicy) -> (Result<(), HubError>, usize, Duration) {
    let client = builder(server).retry(policy).build().unwrap();
    let start = Instant::now();
    let result = client.model_info(&repo(), &main_branch()).await.map(|_| ());
    (result, requests(server).await.len(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn trouble_of_the_server_is_waited_out() {
    for status in [408, 429, 500, 502, 503, 504] {
        let server = server(vec![ResponseTemplate::new(status); 2]).await;
        let (result, requests, took) = ask(&server, RetryPolicy::default()).await;
        result.unwrap();
        assert_eq!(requests, 3, "{status}");
        // 1 and 2 seconds, each with up to as much again.
        assert!(took >= Duration::from_secs(3), "{took:?}");
        assert!(took <= Duration::from_secs(7), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_end() {
    let server = server(vec![ResponseTemplate::new(503); 9]).await;
    let (result, requests, _) = ask(&server, RetryPolicy::default().with_retries(2)).await;
    let error = result.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(requests, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_final_is_asked_once() {
    for status in [400, 401, 403, 404, 410, 501] {
        let server = server(vec![ResponseTemplate::new(status); 9]).await;
        let (result, requests, took) = ask(&server, RetryPolicy::default()).await;
        assert!(!result.unwrap_err().is_retryable(), "{status}");
        assert_eq!((requests, took), (1, Duration::ZERO), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed() {
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "40");
    let server = server(vec![limited]).await;
    let (result, requests, took) = ask(&server, RetryPolicy::default()).await;
    result.unwrap();
    assert_eq!(requests, 2);
    assert_eq!(took.as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn an_empty_bucket_is_waited_for_once_and_not_twice() {
    let limited = ResponseTemplate::new(429).insert_header("ratelimit", "\"api\";r=0;t=30");
    let server = server(vec![limited]).await;
    let (result, requests, took) = ask(&server, RetryPolicy::default()).await;
    result.unwrap();
    assert_eq!(requests, 2);
    assert_eq!(took.as_secs(), 31);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_a_success_emptied_delays_the_next_request() {
    let last = model().insert_header("ratelimit", "\"api\";r=0;t=20");
    let server = server(vec![last]).await;
    let client = builder(&server)
        .retry(RetryPolicy::default())
        .build()
        .unwrap();
    let start = Instant::now();
    client.model_info(&repo(), &main_branch()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    client.model_info(&repo(), &main_branch()).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_all_patience_is_an_error_that_says_how_long() {
    let limited = ResponseTemplate::new(429).insert_header("ratelimit", "\"api\";r=0;t=299");
    let server = server(vec![limited]).await;
    let (result, requests, took) = ask(&server, RetryPolicy::default()).await;
    let error = result.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_mins(5)));
    assert!(error.to_string().contains("300 s"), "{error}");
    assert_eq!((requests, took), (1, Duration::ZERO));
}
