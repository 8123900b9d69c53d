//! Who asks, and what they may see.

use hub_client::HubError;
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use super::server::{WithToken, client, client_with_token, json as answer, on_get, repo, requests};

#[tokio::test]
async fn an_account_is_known_by_its_token() {
    let server = MockServer::start().await;
    let body = json!({
        "type": "user", "id": "x", "name": "me", "fullname": "My Self", "isPro": true,
        "orgs": [{"type": "org", "name": "org", "roleInOrg": "admin"}],
        "auth": {"type": "access_token", "accessToken": {"displayName": "laptop", "role": "read"}},
    });
    Mock::given(path("/api/whoami-v2"))
        .and(WithToken)
        .respond_with(answer(body))
        .mount(&server)
        .await;
    let account = client_with_token(&server).whoami().await.unwrap();
    assert_eq!(account.name, "me");
    assert!(account.is_pro);
    assert_eq!(account.organisations[0].name, "org");
    let token = account.auth.unwrap().access_token.unwrap();
    assert_eq!(token.role.as_deref(), Some("read"));
}

#[tokio::test]
async fn nobody_is_not_asked_about() {
    let server = MockServer::start().await;
    let error = client(&server).whoami().await.unwrap_err();
    assert!(
        matches!(error, HubError::AuthenticationRequired { .. }),
        "{error:?}"
    );
    assert!(requests(&server).await.is_empty());
}

#[tokio::test]
async fn access_is_granted_or_explained() {
    let server = MockServer::start().await;
    let route = "/api/models/org/name/auth-check";
    on_get(&server, route, ResponseTemplate::new(200)).await;
    client(&server).check_access(&repo()).await.unwrap();

    server.reset().await;
    let gated = ResponseTemplate::new(403).insert_header("x-error-code", "GatedRepo");
    on_get(&server, route, gated).await;
    let error = client(&server).check_access(&repo()).await.unwrap_err();
    assert!(matches!(error, HubError::Gated { .. }), "{error:?}");
    assert!(
        error
            .suggestion()
            .contains("https://huggingface.co/org/name")
    );
}
