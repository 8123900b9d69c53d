//! Answers of a given form, log-probabilities, and refusals of settings that contradict each other.

use std::fs;

use serde_json::Value;

use crate::command::{Finished, finished, mlxengine};

fn mock(arguments: &[&str]) -> Finished {
    let mock = ["generate", "--backend", "mock", "--quiet"];
    finished(mlxengine(&[&mock, arguments, &["Go on."]].concat()))
}

/// A file with this content, and its path.
fn file(content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("form");
    fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn an_answer_has_the_form_asked_for() {
    let run = mock(&["--regex", "(yes|no), [a-z]{3}"]);
    let answer = run.stdout.trim_end();
    let (first, second) = answer.split_once(", ").unwrap();
    assert!(
        ["yes", "no"].contains(&first) && second.len() == 3,
        "{run:?}"
    );

    let (_folder, path) =
        file(r#"{ "type": "array", "items": { "enum": [1, 2] }, "maxItems": 3 }"#);
    let run = mock(&["--json-schema", &path]);
    let value: Vec<u8> = serde_json::from_str(&run.stdout).unwrap();
    assert!(value.len() <= 3 && value.iter().all(|item| [1, 2].contains(item)));

    let (_folder, path) = file("start: \"a\" | \"b\" start \"b\"");
    let run = mock(&["--grammar", &path, "--json"]).json();
    let text = run["text"].as_str().unwrap();
    assert_eq!(text.trim_matches('b'), "a", "{text}");
}

#[test]
fn a_form_that_cannot_be_enforced_is_refused_with_the_reason() {
    let (_folder, path) = file(r#"{ "not": { "type": "string" } }"#);
    mock(&["--json-schema", &path]).refused(4, &["constraint", "not"]);
    mock(&["--regex", "("]).refused(4, &["constraint"]);
}

#[test]
fn a_file_that_is_no_schema_is_named() {
    let (_folder, path) = file("{");
    mock(&["--json-schema", &path]).refused(2, &[&path, "JSON"]);
    mock(&["--grammar", "/nowhere/at/all"]).refused(2, &["/nowhere/at/all"]);
}

#[test]
fn only_one_form_can_be_asked_for() {
    mock(&["--json-object", "--regex", "a"]).refused(2, &["--regex"]);
}

#[test]
fn log_probabilities_are_part_of_the_report() {
    let report = mock(&["--json", "--logprobs", "2", "--max-tokens", "5"]).json();
    let logprobs = report["logprobs"].as_array().unwrap();
    assert_eq!(logprobs.len(), report["tokens"].as_array().unwrap().len());
    for (of, token) in logprobs.iter().zip(report["tokens"].as_array().unwrap()) {
        assert_eq!(&of["token"], token);
        assert!(of["logprob"].as_f64().unwrap() <= 0.0);
        assert_eq!(of["top"].as_array().unwrap().len(), 2);
    }
    let without = mock(&["--json", "--max-tokens", "5"]).json();
    assert_eq!(without.get("logprobs"), None::<&Value>);
}

#[test]
fn samplers_that_contradict_each_other_are_refused() {
    mock(&["--mirostat-tau", "3", "--top-k", "5"]).refused(4, &["mirostat", "top_k"]);
    mock(&["--temperature", "0", "--typical-p", "0.9"]).refused(4, &["typical_p"]);
    mock(&["--sampler-order", "temperature,temperature"]).refused(4, &["sampler_order"]);
    mock(&["--sampler-order", "top_q"]).refused(2, &["top_q", "typical_p"]);
    mock(&["--logit-bias", "a=b"]).refused(2, &["1234=-5"]);
}
