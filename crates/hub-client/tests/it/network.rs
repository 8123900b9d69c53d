//! Connections that fail, break or stall.

use std::time::Duration;

use hub_client::{Endpoint, HubClient, HubError, Proxies, RetryPolicy, Timeouts};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::server::{file, main_branch, repo};

fn client(address: std::net::SocketAddr, timeouts: Timeouts, retry: RetryPolicy) -> HubClient {
    HubClient::builder()
        .endpoint(Endpoint::parse(&format!("http://{address}")).unwrap())
        .proxies(Proxies::Direct)
        .timeouts(timeouts)
        .retry(retry)
        .build()
        .unwrap()
}

/// Reads a request's head.
async fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_network_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(address, Timeouts::NONE, RetryPolicy::NEVER);
    let error = client
        .model_info(&repo(), &main_branch())
        .await
        .unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error:?}");
    assert!(error.is_retryable());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(!cause.contains("127.0.0.1"), "{cause}");
}

#[tokio::test]
async fn a_stalled_answer_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        // Says nothing until the client has gone.
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
    });
    let mut timeouts = Timeouts::NONE;
    timeouts.read = Some(Duration::from_millis(50));
    let client = client(address, timeouts, RetryPolicy::NEVER);
    let error = client
        .model_info(&repo(), &main_branch())
        .await
        .unwrap_err();
    assert!(matches!(error, HubError::Timeout { .. }), "{error:?}");
    assert!(error.is_retryable());
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        for body in ["{\"a\": ", "{\"a\": 1}"] {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_head(&mut socket).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let client = client(address, Timeouts::NONE, RetryPolicy::default());
    let path = file("config.json");
    let bytes = client.read_file(&repo(), &main_branch(), &path, 100).await;
    assert_eq!(bytes.unwrap(), b"{\"a\": 1}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_proxy_gets_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(socket.read_u8().await.unwrap());
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(line).unwrap()
    });
    let environment = hub_client::Environment::from_lookup(|name| match name {
        "HTTP_PROXY" => Some(format!("http://{address}")),
        "HF_ENDPOINT" => Some("http://hub.invalid".to_owned()),
        _ => None,
    });
    let client = HubClient::from_environment(&environment.unwrap()).unwrap();
    let path = file("config.json");
    let bytes = client.read_file(&repo(), &main_branch(), &path, 100).await;
    assert_eq!(bytes.unwrap(), b"ok");
    let line = proxy.await.unwrap();
    assert_eq!(
        line,
        "GET http://hub.invalid/org/name/resolve/main/config.json HTTP/1.1\r\n"
    );
}

#[test]
fn a_proxy_that_cant_be_used_is_refused_without_its_password() {
    let environment = hub_client::Environment::from_lookup(|name| match name {
        "HTTPS_PROXY" => Some("http://me:hunter2@[proxy".to_owned()),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN" => Some("1".to_owned()),
        _ => None,
    });
    let error = HubClient::from_environment(&environment.unwrap()).unwrap_err();
    assert!(matches!(error, HubError::InvalidUrl { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_user_agent_that_cant_be_sent_is_a_setup_error() {
    let error = HubClient::builder()
        .user_agent_origin("two\nlines")
        .build()
        .unwrap_err();
    assert!(matches!(error, HubError::Setup { .. }), "{error:?}");
}
