//! Model cards.

use std::fmt::Write as _;

use hub_client::{HubError, ModelCard};
use wiremock::{MockServer, ResponseTemplate};

use super::server::{client, main_branch, on_get, repo};

const CARD: &str = "---\r\nlicense: other\nlicense_name: gemma\nlicense_link: https://x\n\
    language:\n- en\n- no\ntags: mlx\nbase_model: org/base\nbase_model_relation: quantized\n\
    pipeline_tag: text-generation\nlibrary_name: mlx\ndatasets: [a, b]\nwidget:\n- text: hi\n\
    ---   \n# Title\n\n---\nText\n";

#[test]
fn front_matter_and_text_are_told_apart() {
    let card = ModelCard::parse(CARD);
    assert_eq!(card.problem, None);
    let data = card.data;
    assert_eq!(data.license.as_deref(), Some("other"));
    assert_eq!(data.license_name.as_deref(), Some("gemma"));
    assert_eq!(data.language, ["en", "no"]);
    assert_eq!(data.tags, ["mlx"]);
    assert_eq!(data.base_model, ["org/base"]);
    assert_eq!(data.base_model_relation.as_deref(), Some("quantized"));
    assert_eq!(data.datasets, ["a", "b"]);
    assert_eq!(data.other["widget"][0]["text"], "hi");
    assert_eq!(card.text, "# Title\n\n---\nText\n");
}

#[test]
fn a_card_needs_no_front_matter() {
    for text in [
        "",
        "# Title\n",
        "--- not yaml",
        "---\nno end: here\n",
        "--\n---\n",
    ] {
        let card = ModelCard::parse(text);
        assert_eq!(card.text, text);
        assert_eq!((card.data, card.problem), Default::default());
    }
    let empty = ModelCard::parse("\u{feff}\n---\n---\nText");
    assert_eq!((empty.text.as_str(), empty.problem), ("Text", None));
}

#[test]
fn broken_front_matter_leaves_the_text() {
    for yaml in [
        "a: [",
        "- just\n- a list",
        "\"text\"",
        "a: 1\n  b: 2",
        "\t:",
    ] {
        let card = ModelCard::parse(&format!("---\n{yaml}\n---\nText"));
        assert!(card.problem.is_some(), "{yaml}");
        assert_eq!(card.text, "Text", "{yaml}");
    }
}

#[test]
fn fields_of_other_types_count_as_absent() {
    let card = ModelCard::parse("---\nlicense: 5\ntags: [1, mlx, {a: b}]\nlanguage: {}\n---\n");
    assert_eq!(card.problem, None);
    assert_eq!(card.data.license, None);
    assert_eq!(card.data.tags, ["mlx"]);
    assert!(card.data.language.is_empty());
}

#[test]
fn aliases_that_would_fill_the_memory_are_a_problem_and_no_more() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        writeln!(yaml, "a{level}: &a{level} [{below}]").unwrap();
    }
    let card = ModelCard::parse(&format!("---\n{yaml}---\nText"));
    assert!(card.problem.is_some());
    assert_eq!(card.text, "Text");
}

#[tokio::test]
async fn a_card_is_read_and_its_absence_is_no_error() {
    let server = MockServer::start().await;
    let route = "/org/name/resolve/main/README.md";
    on_get(
        &server,
        route,
        ResponseTemplate::new(200).set_body_string(CARD),
    )
    .await;
    let client = client(&server);
    let card = client.model_card(&repo(), &main_branch()).await.unwrap();
    assert_eq!(card.unwrap().data.library_name.as_deref(), Some("mlx"));

    server.reset().await;
    let missing = ResponseTemplate::new(404).insert_header("x-error-code", "EntryNotFound");
    on_get(&server, route, missing).await;
    assert_eq!(
        client.model_card(&repo(), &main_branch()).await.unwrap(),
        None
    );

    server.reset().await;
    let missing = ResponseTemplate::new(404).insert_header("x-error-code", "RepoNotFound");
    on_get(&server, route, missing).await;
    let error = client
        .model_card(&repo(), &main_branch())
        .await
        .unwrap_err();
    assert!(
        matches!(error, HubError::RepositoryNotFound { .. }),
        "{error:?}"
    );
}
