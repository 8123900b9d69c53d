//! A Hub on the loopback, and clients of it.

use hub_client::{
    Endpoint, HubClient, HubClientBuilder, Proxies, RepoId, RepoPath, RetryPolicy, Revision,
    Timeouts, Token,
};
use wiremock::{
    Match, Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

pub(crate) const SECRET: &str = "hf_sEcReT0123456789";
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
pub(crate) const GIT_SHA1: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

pub(crate) fn repo() -> RepoId {
    "org/name".parse().unwrap()
}

pub(crate) fn main_branch() -> Revision {
    Revision::main()
}

pub(crate) fn file(path: &str) -> RepoPath {
    path.parse().unwrap()
}

/// A client of `server` that waits for nothing and tries once.
pub(crate) fn builder(server: &MockServer) -> HubClientBuilder {
    HubClient::builder()
        .endpoint(Endpoint::parse(&server.uri()).unwrap())
        .proxies(Proxies::Direct)
        .timeouts(Timeouts::NONE)
        .retry(RetryPolicy::NEVER)
}

pub(crate) fn client(server: &MockServer) -> HubClient {
    builder(server).build().unwrap()
}

pub(crate) fn client_with_token(server: &MockServer) -> HubClient {
    builder(server)
        .token(Token::new(SECRET).unwrap())
        .build()
        .unwrap()
}

/// Answers `GET route`.
pub(crate) async fn on_get(server: &MockServer, route: &str, answer: ResponseTemplate) {
    Mock::given(method("GET"))
        .and(path(route))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Answers `HEAD route`.
pub(crate) async fn on_head(server: &MockServer, route: &str, answer: ResponseTemplate) {
    Mock::given(method("HEAD"))
        .and(path(route))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// A success with JSON.
pub(crate) fn json(body: serde_json::Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// A redirect.
pub(crate) fn redirect(status: u16, location: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).insert_header("location", location)
}

/// Matches requests that carry the token.
pub(crate) struct WithToken;

impl Match for WithToken {
    fn matches(&self, request: &Request) -> bool {
        carries_token(request)
    }
}

pub(crate) fn carries_token(request: &Request) -> bool {
    request
        .headers
        .get("authorization")
        .is_some_and(|value| value == &format!("Bearer {SECRET}"))
}

pub(crate) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}
