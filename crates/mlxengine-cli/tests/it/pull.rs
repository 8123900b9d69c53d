//! `pull`.

use std::path::Path;

use hub_fault_server::{Content, Fault, Settings, Stage};

use crate::hub::{Hub, ID, TOKEN, cache, repo};

#[test]
fn a_model_is_fetched_and_its_folder_printed() {
    let hub = Hub::new();
    let run = hub.run(&["pull", ID]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let folder = Path::new(run.stdout.trim_end());
    assert!(folder.starts_with(cache(&hub)), "{run:?}");
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(weights, Content::noise(1, 300_000).to_vec());
    assert!(run.stderr.starts_with("fetched 300."), "{run:?}");

    let again = hub.run(&["pull", ID]);
    assert_eq!(again.stdout, run.stdout);
    assert_eq!(again.stderr, format!("{ID} is here and up to date\n"));
    let quiet = hub.run(&["pull", "--quiet", ID]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (run.stdout, ""));
}

#[test]
fn json_says_what_was_done() {
    let hub = Hub::new();
    let plan = hub.run(&["pull", "--json", "--dry-run", ID]).json();
    assert_eq!(plan["files"].as_array().unwrap().len(), 3);
    assert!(plan["fetch_bytes"].as_u64() > Some(300_000));
    assert!(!cache(&hub).exists());
    let done = hub.run(&["pull", "--json", ID]).json();
    assert_eq!(done["model"], ID);
    assert_eq!(done["commit"], repo().commit());
    assert_eq!(done["bytes"], done["received_bytes"]);
    assert_eq!(done["not_asked"], serde_json::Value::Null);
    let plan = hub.run(&["pull", "--json", "--dry-run", ID]).json();
    assert_eq!(plan["fetch_bytes"], 0);
}

#[test]
fn a_dry_run_lists_the_files() {
    let hub = Hub::new();
    let run = hub.run(&["pull", "--dry-run", ID]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("model.safetensors"), "{run:?}");
    assert!(run.stdout.contains("to fetch"), "{run:?}");
    assert!(!cache(&hub).exists());
}

#[test]
fn patterns_choose_files() {
    let hub = Hub::new();
    let run = hub.run(&["pull", "--include", "*.json", "--exclude", "tok*", ID]);
    let folder = Path::new(run.stdout.trim_end());
    let names: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(folder.join("config.json").exists());
}

#[test]
fn offline_the_cache_answers_or_says_what_to_do() {
    let hub = Hub::new();
    let run = hub.offline(&["pull", ID]);
    run.refused(
        1,
        &[
            "error: org/tiny-4bit is not on this machine",
            "hint: go online",
        ],
    );
    hub.run(&["pull", ID]);
    let run = hub.offline(&["pull", ID]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.contains("what is here is used as it is"),
        "{run:?}"
    );
}

#[test]
fn a_name_that_cant_be_is_2_and_gets_advice() {
    let hub = Hub::new();
    hub.run(&["pull", "qwen3-06b"]).refused(
        2,
        &[
            "error: no model is called \"qwen3-06b\"",
            "hint: did you mean qwen3-0.6b",
        ],
    );
    hub.run(&["pull", "a/b/c"])
        .refused(2, &["\"a/b/c\" is not a valid", "hint:"]);
    hub.run(&["pull", "/no/such/place"])
        .refused(2, &["is a place on this machine", "hint:"]);
    hub.run(&["pull", "--revision", "a..b", ID])
        .refused(2, &["a..b", "hint:"]);
    hub.run(&["pull", "--include", "[", ID])
        .refused(2, &["pattern", "hint:"]);
}

#[test]
fn what_the_hub_says_no_to_is_1_with_its_reason() {
    let hub = Hub::new();
    hub.run(&["pull", "org/absent"]).refused(
        1,
        &[
            "error: there is no model org/absent, or it is private",
            "hint: check the spelling",
        ],
    );
    hub.run(&["pull", "--revision", "v9", ID])
        .refused(1, &["has no revision v9", "hint:"]);
}

#[test]
fn a_setting_that_cant_be_used_is_2() {
    let hub = Hub::new();
    let mut command = hub.command(&["pull", ID]);
    command.env("HF_ENDPOINT", "https://me:hunter2@hub.example");
    let run = crate::command::finished(command);
    run.refused(2, &["HF_ENDPOINT", "hint:"]);
    assert!(!run.stderr.contains("hunter2"), "{run:?}");
}

#[test]
fn damage_on_the_way_is_an_error_and_leaves_no_model() {
    let hub = Hub::new();
    let flip = || Fault::FlipByte { at: 9 };
    let path = "model.safetensors";
    hub.server
        .script(Stage::Body, path, [flip(), flip(), flip()]);
    let run = hub.run(&["pull", ID]);
    run.refused(1, &["damaged", "hint:"]);
    hub.offline(&["pull", ID])
        .refused(1, &["is not on this machine"]);
    assert_eq!(hub.run(&["pull", ID]).code, Some(0));
}

#[test]
fn a_token_opens_gates_and_shows_up_nowhere() {
    let settings = Settings {
        tokens: vec![TOKEN.to_owned()],
        ..Settings::default()
    };
    let hub = Hub::with(settings, repo().gated());
    let run = hub.run(&["pull", ID]);
    run.refused(1, &["hint:", "mlxengine login"]);
    let mut command = hub.command(&["--log", "trace", "pull", "--json", ID]);
    command.env("HF_TOKEN", TOKEN);
    let run = crate::command::finished(command);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.stderr.contains(TOKEN) && !run.stdout.contains(TOKEN));
    assert_eq!(hub.server.stats().leaked_tokens, 0);
}
