//! `models list`, `info`, `search`, `rm`, `verify`, `prune`.

use std::fs;

use crate::hub::{Hub, ID, cache, repo};

fn pulled() -> Hub {
    let hub = Hub::new();
    assert_eq!(hub.run(&["pull", ID]).code, Some(0));
    hub
}

/// The file in which the weights' bytes are.
fn weights(hub: &Hub) -> std::path::PathBuf {
    let snapshots = cache(hub).join("models--org--tiny-4bit/snapshots");
    let weights = snapshots.join(repo().commit()).join("model.safetensors");
    weights.canonicalize().unwrap()
}

#[test]
fn list_shows_what_is_here() {
    let hub = Hub::new();
    let empty = hub.run(&["models", "list"]);
    assert_eq!(
        (empty.code, empty.stdout.as_str()),
        (Some(0), ""),
        "{empty:?}"
    );
    assert!(empty.stderr.contains("there are no models"), "{empty:?}");
    hub.run(&["pull", ID]);
    let run = hub.run(&["models", "list"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("MODEL"), "{run:?}");
    assert!(
        lines[1].starts_with(ID) && lines[1].contains("main"),
        "{run:?}"
    );
    let listing = hub.run(&["models", "list", "--json"]).json();
    let model = &listing["models"][0];
    assert_eq!(model["revisions"][0]["commit"], repo().commit());
    assert_eq!(model["revisions"][0]["refs"][0], "main");
    assert_eq!(model["revisions"][0]["files"], 3);
    assert_eq!(listing["bytes"], model["bytes"]);
    assert!(model["last_used"].is_string(), "{model}");
}

#[test]
fn info_tells_what_is_known() {
    let hub = Hub::new();
    let before = hub.run(&["models", "info", "--json", ID]).json();
    assert_eq!(before["path"], serde_json::Value::Null);
    assert_eq!(before["weight_bytes"], 300_000);
    hub.run(&["pull", ID]);
    let run = hub.offline(&["models", "info", "--context", "100", ID]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for line in [
        "name          tiny-4bit",
        "architecture  llama",
        "runs          yes",
    ] {
        assert!(run.stdout.contains(line), "no {line:?} in {run:?}");
    }
    assert!(run.stdout.contains("with 100 tokens"), "{run:?}");
    let known = hub
        .offline(&["models", "info", "--json", "qwen3-0.6b"])
        .json();
    assert_eq!(known["memory"]["context"], 4096);
    assert!(known["memory"]["total_bytes"].as_u64() > known["memory"]["kv_bytes"].as_u64());
    hub.offline(&["models", "info", "org/unknown"])
        .refused(1, &["is not on this machine"]);
    hub.run(&["models", "info", "/no/such"])
        .refused(2, &["there is no model at /no/such"]);
}

#[test]
fn search_needs_no_network_for_the_list() {
    let hub = Hub::new();
    let run = hub.offline(&["models", "search", "qwen3", "0.6b", "--can", "chat"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{run:?}");
    assert!(
        lines[1].starts_with("qwen3-0.6b") && lines[1].ends_with("yes"),
        "{run:?}"
    );
    let all = hub.offline(&["models", "search", "--json"]).json();
    assert!(all.as_array().unwrap().len() > 20);
    let small = hub.offline(&[
        "models",
        "search",
        "--json",
        "--max-memory",
        "1GB",
        "--runnable",
    ]);
    for model in small.json().as_array().unwrap() {
        assert!(
            model["memory_bytes"].as_u64().unwrap() <= 1_000_000_000,
            "{model}"
        );
        assert_eq!(model["runs"]["state"], "yes");
    }
    let family = hub.offline(&[
        "models", "search", "--json", "--family", "gemma 3", "--limit", "1",
    ]);
    assert_eq!(family.json()[0]["name"], "gemma-3-270m");
    let fits = hub.offline(&["models", "search", "--fits"]);
    assert_eq!(fits.code, Some(0), "{fits:?}");
    let none = hub.offline(&["models", "search", "xyzzy"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""), "{none:?}");
    assert_eq!(hub.run(&["models", "search", "--can", "fly"]).code, Some(2));
    assert_eq!(
        hub.run(&["models", "search", "--max-memory", "much"]).code,
        Some(2)
    );
}

#[test]
fn search_on_the_hub_asks_the_hub() {
    let hub = Hub::new();
    let run = hub.run(&["models", "search", "--hub", "tiny", "--author", "org"]);
    assert!(
        run.stdout.lines().nth(1).unwrap().starts_with(ID),
        "{run:?}"
    );
    let found = hub
        .run(&["models", "search", "--hub", "--json", "tiny"])
        .json();
    assert_eq!(found[0]["id"], ID);
    let none = hub.run(&["models", "search", "--hub", "nothing-like-it"]);
    assert!(none.stderr.contains("nothing on the Hub"), "{none:?}");
    hub.offline(&["models", "search", "--hub", "tiny"])
        .refused(1, &["while offline", "hint:"]);
}

#[test]
fn rm_deletes_after_it_has_said_what_it_would() {
    let hub = pulled();
    let plan = hub.run(&["models", "rm", "--dry-run", "--json", ID]).json();
    assert_eq!(plan["dry_run"], true);
    assert!(plan["bytes"].as_u64() > Some(300_000));
    assert!(weights(&hub).exists());
    let run = hub.run(&["models", "rm", ID]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stdout.starts_with("org/tiny-4bit: freed 300."),
        "{run:?}"
    );
    assert!(!cache(&hub).join("models--org--tiny-4bit").exists());
    hub.run(&["models", "rm", ID])
        .refused(1, &["is not on this machine"]);
}

#[test]
fn rm_of_a_revision_leaves_the_others() {
    let hub = pulled();
    let commit = "b".repeat(40);
    hub.server.put(repo().at_commit(&commit));
    hub.run(&["pull", ID]);
    let old = format!("{ID}@{}", repo().commit());
    assert_eq!(hub.run(&["models", "rm", &old]).code, Some(0));
    let listing = hub.run(&["models", "list", "--json"]).json();
    let revisions = listing["models"][0]["revisions"].as_array().unwrap();
    assert_eq!(revisions.len(), 1);
    assert_eq!(revisions[0]["commit"], commit.as_str());
    hub.run(&["models", "rm", &format!("{ID}@v9")])
        .refused(1, &["is not on this machine"]);
}

#[test]
fn verify_finds_a_flipped_byte_and_repairs() {
    let hub = pulled();
    let good = hub.run(&["models", "verify", "--json", ID]).json();
    assert_eq!(good["good"], true);
    assert_eq!(good["models"][0]["files"].as_array().unwrap().len(), 3);
    let all = hub.run(&["models", "verify"]);
    assert_eq!(all.stdout, "org/tiny-4bit: 3 files, good\n", "{all:?}");

    let file = weights(&hub);
    let mut bytes = fs::read(&file).unwrap();
    bytes[9] ^= 1;
    fs::write(&file, bytes).unwrap();
    let bad = hub.run(&["models", "verify", ID]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(
        bad.stdout.contains("model.safetensors: damaged: "),
        "{bad:?}"
    );
    assert!(bad.stderr.contains("--repair"), "{bad:?}");
    let repaired = hub.run(&["models", "verify", "--repair", ID]);
    assert_eq!(repaired.code, Some(1), "{repaired:?}");
    assert!(
        repaired.stderr.contains("have been deleted"),
        "{repaired:?}"
    );
    assert_eq!(hub.run(&["pull", ID]).code, Some(0));
    assert_eq!(hub.run(&["models", "verify", ID]).code, Some(0));
    hub.run(&["models", "verify", "org/absent"])
        .refused(1, &["is not on this machine"]);
}

#[test]
fn prune_deletes_what_nothing_refers_to_and_keeps_the_rest() {
    let hub = pulled();
    hub.server.put(repo().at_commit(&"b".repeat(40)));
    hub.run(&["pull", ID]);
    let plan = hub.run(&["models", "prune", "--dry-run", "--json"]).json();
    assert!(!plan["removals"].as_array().unwrap().is_empty(), "{plan}");
    assert_eq!(hub.run(&["models", "prune"]).code, Some(0));
    let again = hub.run(&["models", "prune"]);
    assert!(again.stderr.contains("nothing to delete"), "{again:?}");
    assert_eq!(hub.run(&["models", "verify", ID]).code, Some(0));
}

#[test]
fn a_size_limit_deletes_models() {
    let hub = pulled();
    let roomy = hub.run(&["models", "prune", "--max-size", "1GB"]);
    assert!(roomy.stderr.contains("nothing to delete"), "{roomy:?}");
    let run = hub.run(&["models", "prune", "--max-size", "1KB"]);
    assert!(run.stdout.starts_with("org/tiny-4bit: freed"), "{run:?}");
    assert!(!cache(&hub).join("models--org--tiny-4bit").exists());
}
