//! Search, and lists in pages.

use futures_util::StreamExt as _;
use hub_client::{HubError, ModelQuery, SortBy};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path, query_param, query_param_is_missing},
};

use super::server::{builder, client, client_with_token, json as answer, on_get, requests};

fn models(names: &[&str]) -> ResponseTemplate {
    let list: Vec<_> = names.iter().map(|name| json!({"id": name})).collect();
    answer(list.into())
}

fn with_next(page: ResponseTemplate, link: &str) -> ResponseTemplate {
    page.insert_header("link", format!("<{link}>; rel=\"next\""))
}

/// Three pages of two models each.
async fn three_pages() -> MockServer {
    let server = MockServer::start().await;
    let page = |cursor: u32, names: [&str; 2]| {
        let next = format!("{}/api/models?cursor={}", server.uri(), cursor + 1);
        let page = models(&names);
        if cursor < 2 {
            with_next(page, &next)
        } else {
            page
        }
    };
    Mock::given(query_param_is_missing("cursor"))
        .respond_with(page(0, ["a/1", "a/2"]))
        .mount(&server)
        .await;
    for (cursor, names) in [(1, ["a/3", "a/4"]), (2, ["a/5", "a/6"])] {
        Mock::given(query_param("cursor", cursor.to_string()))
            .respond_with(page(cursor, names))
            .mount(&server)
            .await;
    }
    server
}

#[tokio::test]
async fn a_query_becomes_the_hubs_parameters() {
    let server = MockServer::start().await;
    on_get(&server, "/api/models", models(&["a/b"])).await;
    let query = ModelQuery::mlx()
        .search("qwen 3&x")
        .author("mlx-community")
        .tag("license:mit")
        .task("text-generation")
        .gated(false)
        .min_parameters("1B")
        .max_parameters("8B")
        .sort(SortBy::Modified)
        .limit(5000)
        .details();
    let found = client(&server).search_models(&query).collect_all().await;
    assert_eq!(found.unwrap()[0].id.as_str(), "a/b");

    let request = requests(&server).await.remove(0);
    let pairs: Vec<(String, String)> = request
        .url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let expected = [
        ("search", "qwen 3&x"),
        ("author", "mlx-community"),
        ("filter", "mlx"),
        ("filter", "license:mit"),
        ("pipeline_tag", "text-generation"),
        ("gated", "false"),
        ("num_parameters", "min:1B,max:8B"),
        ("sort", "lastModified"),
        ("limit", "1000"),
        ("full", "true"),
        ("cardData", "true"),
        ("config", "true"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);
}

#[tokio::test]
async fn pages_follow_each_other_and_keep_their_order() {
    let server = three_pages().await;
    let pages: Vec<usize> = client(&server)
        .search_models(&ModelQuery::new())
        .map(|page| page.unwrap().len())
        .collect()
        .await;
    assert_eq!(pages, [2, 2, 2]);
    let all = client(&server).search_models(&ModelQuery::new());
    let names: Vec<String> = all
        .models()
        .map(|model| model.unwrap().id.to_string())
        .collect()
        .await;
    assert_eq!(names, ["a/1", "a/2", "a/3", "a/4", "a/5", "a/6"]);
}

#[tokio::test]
async fn a_limit_cuts_the_last_page_and_asks_for_no_more() {
    let server = three_pages().await;
    let query = ModelQuery::new().limit(3);
    let found = client(&server).search_models(&query).collect_all().await;
    assert_eq!(found.unwrap().len(), 3);
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn a_page_is_fetched_when_it_is_polled() {
    let server = three_pages().await;
    let mut pages = client(&server).search_models(&ModelQuery::new());
    assert_eq!(requests(&server).await.len(), 0);
    pages.next().await.unwrap().unwrap();
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_relative_link_leads_on() {
    let server = MockServer::start().await;
    Mock::given(query_param("cursor", "1"))
        .respond_with(models(&["a/2"]))
        .with_priority(1)
        .mount(&server)
        .await;
    let first = with_next(models(&["a/1"]), "/api/models?cursor=1");
    on_get(&server, "/api/models", first).await;
    let query = ModelQuery::new();
    let found = client(&server).search_models(&query).collect_all().await;
    assert_eq!(found.unwrap().len(), 2);
}

#[tokio::test]
async fn a_link_to_another_host_is_refused_and_nothing_is_sent_there() {
    let server = MockServer::start().await;
    let other = MockServer::start().await;
    on_get(&other, "/api/models", models(&["evil/model"])).await;
    let link = format!("{}/api/models?cursor=1", other.uri());
    on_get(&server, "/api/models", with_next(models(&["a/1"]), &link)).await;

    let mut pages = client_with_token(&server).search_models(&ModelQuery::new());
    let error = pages.next().await.unwrap().unwrap_err();
    assert!(
        matches!(error, HubError::RefusedRedirect { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(&other.uri()), "{error}");
    assert!(pages.next().await.is_none());
    assert!(requests(&other).await.is_empty());
}

#[tokio::test]
async fn a_mirrors_link_to_the_hub_is_led_back_to_the_mirror() {
    let server = MockServer::start().await;
    Mock::given(query_param("cursor", "1"))
        .and(path("/mirror/api/models"))
        .respond_with(models(&["a/2"]))
        .with_priority(1)
        .mount(&server)
        .await;
    let link = "https://huggingface.co/api/models?cursor=1";
    let first = with_next(models(&["a/1"]), link);
    on_get(&server, "/mirror/api/models", first).await;
    let endpoint = hub_client::Endpoint::parse(&format!("{}/mirror", server.uri())).unwrap();
    let client = builder(&server).endpoint(endpoint).build().unwrap();
    let found = client.search_models(&ModelQuery::new()).collect_all().await;
    assert_eq!(found.unwrap().len(), 2);
}

#[tokio::test]
async fn a_page_that_names_itself_does_not_go_on_for_ever() {
    let server = MockServer::start().await;
    let link = format!("{}/api/models", server.uri());
    on_get(&server, "/api/models", with_next(models(&["a/1"]), &link)).await;
    let found = client(&server).search_models(&ModelQuery::new());
    let error = found.collect_all().await.unwrap_err();
    assert!(matches!(error, HubError::Decode { .. }), "{error:?}");
}

#[tokio::test]
async fn unknown_fields_are_tolerated_and_absent_ones_too() {
    let server = MockServer::start().await;
    let list = json!([
        {"id": "a/1", "_id": "x", "gated": "manual", "newThing": {"deep": [1]}, "private": true},
        {"id": "a/2", "modelId": "a/2", "gated": false, "inferenceProviderMapping": []},
    ]);
    Mock::given(method("GET"))
        .respond_with(answer(list))
        .mount(&server)
        .await;
    let found = client(&server).search_models(&ModelQuery::new());
    let found = found.collect_all().await.unwrap();
    assert!(found[0].private);
    assert_eq!(found[0].gated, hub_client::Gated::Manual);
    assert_eq!(found[1].gated, hub_client::Gated::No);
}
