//! Offline, nothing is sent.

use futures_util::StreamExt as _;
use hub_client::{Depth, Endpoint, HubClient, HubError, ModelQuery, Proxies, RetryPolicy, Token};

use super::server::{SECRET, file, main_branch, repo};

#[tokio::test]
async fn no_socket_is_opened_and_each_call_says_why() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let hub = HubClient::builder()
        .endpoint(Endpoint::parse(&format!("http://{address}")).unwrap())
        .proxies(Proxies::Direct)
        .retry(RetryPolicy::default())
        .token(Token::new(SECRET).unwrap())
        .offline(true)
        .build()
        .unwrap();
    assert!(hub.is_offline());
    let (repo, branch, path) = (repo(), main_branch(), file("config.json"));
    let errors = [
        hub.whoami().await.unwrap_err(),
        hub.check_access(&repo).await.unwrap_err(),
        hub.model_info(&repo, &branch).await.unwrap_err(),
        hub.model_card(&repo, &branch).await.unwrap_err(),
        hub.files(&repo, &branch).await.unwrap_err(),
        hub.resolve(&repo, &branch, &path).await.unwrap_err(),
        hub.read_file(&repo, &branch, &path, 10).await.unwrap_err(),
        hub.search_models(&ModelQuery::new())
            .collect_all()
            .await
            .unwrap_err(),
        hub.tree(&repo, &branch, None, Depth::Flat)
            .next()
            .await
            .unwrap()
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, HubError::Offline { .. }), "{error:?}");
        assert!(!error.is_retryable());
        assert!(error.to_string().ends_with("while offline"), "{error}");
    }
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}
