//! The client against the server that the downloads are tested with: two views of one protocol.

use futures_util::StreamExt as _;
use hub_client::{
    Endpoint, HubClient, HubClientBuilder, HubError, ModelQuery, Proxies, RepoId, RetryPolicy,
    Revision, Timeouts, Token,
};
use hub_fault_server::{Content, Fault, FaultServer, Repo, Settings, Stage};

use super::server::{SECRET, file};

fn start(repos: impl IntoIterator<Item = Repo>) -> FaultServer {
    let settings = Settings {
        tokens: vec![SECRET.to_owned()],
        ..Settings::default()
    };
    FaultServer::start_with(settings, repos).unwrap()
}

fn anonymous(server: &FaultServer) -> HubClientBuilder {
    HubClient::builder()
        .endpoint(Endpoint::parse(server.url()).unwrap())
        .proxies(Proxies::Direct)
        .timeouts(Timeouts::NONE)
        .retry(RetryPolicy::NEVER)
}

fn somebody(server: &FaultServer, token: &str) -> HubClient {
    let builder = anonymous(server).token(Token::new(token).unwrap());
    builder.build().unwrap()
}

fn id(name: &str) -> RepoId {
    name.parse().unwrap()
}

fn model(name: &str) -> Repo {
    Repo::new(name)
        .tag("small")
        .file("config.json", Content::bytes(*b"{}"))
        .lfs("model.safetensors", Content::noise(1, 10_000))
}

async fn found(client: &HubClient, query: ModelQuery) -> Vec<String> {
    client
        .search_models(&query)
        .models()
        .map(|model| model.unwrap().id.to_string())
        .collect()
        .await
}

#[tokio::test]
async fn a_search_finds_what_fits_all_its_words() {
    let server = start([
        model("a/qwen-1"),
        model("b/qwen-2"),
        Repo::new("a/qwen-torch"),
        model("a/llama"),
    ]);
    let client = anonymous(&server).build().unwrap();
    let by_name = ModelQuery::new().search("QWEN");
    assert_eq!(
        found(&client, by_name).await,
        ["a/qwen-1", "b/qwen-2", "a/qwen-torch"]
    );
    let of_one = ModelQuery::mlx().search("qwen").author("a").tag("small");
    assert_eq!(found(&client, of_one).await, ["a/qwen-1"]);
    let nothing = ModelQuery::new().search("no such thing");
    assert!(found(&client, nothing).await.is_empty());
}

#[tokio::test]
async fn a_long_list_comes_in_pages_without_loss() {
    let names: Vec<String> = (0..2345).map(|n| format!("org/model-{n}")).collect();
    let server = start(names.iter().map(|name| Repo::new(name)));
    let client = anonymous(&server).build().unwrap();
    assert_eq!(found(&client, ModelQuery::new()).await, names);
    assert_eq!(server.stats().api_requests, 3);
    assert_eq!(
        found(&client, ModelQuery::new().limit(1001)).await,
        names[..1001]
    );
}

#[tokio::test]
async fn a_token_says_who_asks_and_a_wrong_one_is_told_apart() {
    let server = start([model("org/model")]);
    let account = somebody(&server, SECRET).whoami().await.unwrap();
    assert_eq!(account.name, "tester");
    let error = somebody(&server, "hf_other").whoami().await.unwrap_err();
    assert!(matches!(error, HubError::InvalidToken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_gated_model_opens_with_a_token() {
    let server = start([model("org/gated").gated()]);
    let (repo, main) = (id("org/gated"), Revision::main());
    let nobody = anonymous(&server).build().unwrap();
    let somebody = somebody(&server, SECRET);
    for error in [
        nobody.check_access(&repo).await.unwrap_err(),
        nobody
            .resolve(&repo, &main, &file("model.safetensors"))
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, HubError::Gated { .. }), "{error:?}");
    }
    somebody.check_access(&repo).await.unwrap();
    let resolved = somebody
        .resolve(&repo, &main, &file("model.safetensors"))
        .await
        .unwrap();
    assert_eq!(resolved.size, Some(10_000));
    assert!(resolved.token().is_none(), "the other host gets no token");
    assert_eq!(server.stats().leaked_tokens, 0);
}

#[tokio::test]
async fn masked_hashes_are_unknown_hashes() {
    let server = start([model("org/gated").masked()]);
    let client = anonymous(&server).build().unwrap();
    let files = client
        .files(&id("org/gated"), &Revision::main())
        .await
        .unwrap();
    let weights = files.iter().find(|f| f.lfs).unwrap();
    assert_eq!((weights.size, &weights.blob), (Some(10_000), &None));
}

#[tokio::test]
async fn a_file_in_xet_storage_is_where_the_redirect_says() {
    let server = start([model("org/xet").in_xet_storage()]);
    let client = somebody(&server, SECRET);
    let weights = file("model.safetensors");
    let found = client
        .resolve(&id("org/xet"), &Revision::main(), &weights)
        .await
        .unwrap();
    let location = found.location.as_url().as_str();
    assert!(location.starts_with(server.cdn_url()), "{location}");
    let sha256 = Content::noise(1, 10_000).sha256();
    assert_eq!(found.blob.unwrap().as_sha256(), Some(&*sha256));
    assert_eq!(found.size, Some(10_000));
    let files = client.files(&id("org/xet"), &Revision::main()).await;
    assert!(files.unwrap().iter().any(|f| f.path == weights && f.lfs));
}

#[tokio::test]
async fn a_renamed_model_is_found_under_both_names() {
    let new = model("new/name").renamed_from("old/name");
    let commit = new.commit().to_owned();
    let server = start([new]);
    let client = somebody(&server, SECRET);
    let info = client
        .model_info(&id("old/name"), &Revision::main())
        .await
        .unwrap();
    assert_eq!(info.id, id("new/name"));
    assert_eq!(info.sha.unwrap().as_str(), commit);
    let config = file("config.json");
    let old = client
        .resolve(&id("old/name"), &Revision::main(), &config)
        .await
        .unwrap();
    let new = client
        .resolve(&id("new/name"), &Revision::main(), &config)
        .await;
    assert_eq!(old.blob, new.unwrap().blob);
    // It is still the Hub, so the token goes along.
    assert!(old.token().is_some());
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let server = start([model("org/model")]);
    let client = anonymous(&server).build().unwrap();
    let main = Revision::main();
    let no_repo = client.model_info(&id("org/none"), &main).await;
    let no_repo = no_repo.unwrap_err();
    assert!(
        matches!(no_repo, HubError::RepositoryNotFound { .. }),
        "{no_repo:?}"
    );
    let other = Revision::parse("no-such-branch").unwrap();
    let no_revision = client.model_info(&id("org/model"), &other).await;
    let no_revision = no_revision.unwrap_err();
    assert!(
        matches!(no_revision, HubError::RevisionNotFound { .. }),
        "{no_revision:?}"
    );
    let no_file = client
        .resolve(&id("org/model"), &main, &file("none.json"))
        .await
        .unwrap_err();
    assert!(
        matches!(no_file, HubError::FileNotFound { .. }),
        "{no_file:?}"
    );
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_asked_for_again() {
    let server = start([model("org/model")]);
    let route = "/api/models/org/model/revision/main";
    let cut = Fault::Cut {
        after: 0,
        reset: true,
    };
    server.script(Stage::Api, route, [cut, Fault::status(503)]);
    let mut retry = RetryPolicy::default();
    retry.first_pause = std::time::Duration::from_millis(1);
    let client = anonymous(&server).retry(retry).build().unwrap();
    let info = client.model_info(&id("org/model"), &Revision::main()).await;
    assert_eq!(info.unwrap().files.len(), 2);
    assert_eq!(server.stats().faults.len(), 2);
}
