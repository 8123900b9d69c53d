//! Models by name where a model is to run.

use crate::{
    command::finished,
    hub::{Hub, ID},
};

#[test]
fn a_misspelt_model_is_3_and_gets_advice() {
    let hub = Hub::new();
    hub.run(&["generate", "--model", "qwen3-06b", "hi"])
        .refused(
            3,
            &["error: no model is called", "hint: did you mean qwen3-0.6b"],
        );
    hub.run(&["chat", "--model", "org/absent"])
        .refused(3, &["there is no model org/absent"]);
}

#[test]
fn a_model_is_fetched_before_it_is_loaded() {
    let hub = Hub::new();
    // Its weights are noise, so that it can't be loaded: what counts is that it came so far.
    let run = hub.run(&["generate", "--model", ID, "hi"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(
        run.stderr
            .contains("org/tiny-4bit is not here yet; fetching it"),
        "{run:?}"
    );
    let listed = hub.run(&["models", "list", "--json"]).json();
    assert_eq!(listed["models"][0]["model"], ID);
    let stats = hub.server.stats();
    let again = hub.run(&["generate", "--model", ID, "hi"]);
    assert!(!again.stderr.contains("fetching"), "{again:?}");
    assert_eq!(hub.server.stats(), stats);
}

#[test]
fn the_mock_needs_no_files_whatever_the_name() {
    let hub = Hub::new();
    let arguments = [
        "generate",
        "--backend",
        "mock",
        "--mock-reply",
        "yes",
        "--model",
        ID,
        "hi",
    ];
    let run = finished(hub.command(&arguments));
    assert_eq!(run.stdout, "yes\n", "{run:?}");
    assert_eq!(hub.server.stats().api_requests, 0);
}

#[test]
fn a_publishers_settings_are_read_from_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let settings = r#"{"temperature": 99, "top_k": 0, "repetition_penalty": 1.3}"#;
    std::fs::write(folder.path().join("generation_config.json"), settings).unwrap();
    let path = folder.path().to_str().unwrap();
    let hub = Hub::new();
    let info = hub.run(&["models", "info", "--json", path]).json();
    let settings = info["generate"].as_object().unwrap();
    // 99 is out of range and counts as absent, and 0 stands for none.
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["repetition_penalty"]);
    let penalty = settings["repetition_penalty"].as_f64().unwrap();
    assert!((penalty - 1.3).abs() < 1e-6, "{penalty}");
}
