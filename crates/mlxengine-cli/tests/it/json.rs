//! `mlxengine generate --json`, for programs.

use serde_json::{Value, json};

use crate::command::{finished, generate, mlxengine};

#[test]
fn one_object_has_the_answer_and_all_about_it() {
    let run = generate(
        "The capital is Paris.",
        &["--json", "--seed", "7", "Which?"],
    );
    let report = run.json();
    assert_eq!(report["text"], "The capital is Paris.");
    assert_eq!(report["backend"], "mock");
    assert_eq!(report["simulated"], true);
    assert_eq!(report["finish"]["reason"], "end_of_text");
    assert_eq!(report["seed"], 7);
    assert_eq!(report["ignored"], json!([]));
    assert_eq!(
        count(&report["tokens"]),
        report["usage"]["generated_tokens"]
    );
    assert_eq!(
        count(&report["prompt_tokens"]),
        report["usage"]["prompt_tokens"]
    );
    for key in ["model", "device", "compute"] {
        assert!(report[key].is_string(), "{key}");
    }
    for key in ["queue_s", "prefill_s", "decode_s"] {
        assert!(report["timings"][key].is_number(), "{key}");
    }
}

#[test]
fn the_same_seed_gives_the_same_tokens() {
    let tokens = |seed| {
        let arguments = [
            "generate",
            "--backend",
            "mock",
            "--json",
            "--seed",
            seed,
            "Tell me.",
        ];
        finished(mlxengine(&arguments)).json()["tokens"].clone()
    };
    assert_eq!(tokens("1"), tokens("1"));
    assert_ne!(tokens("1"), tokens("2"));
}

#[test]
fn a_reported_seed_repeats_the_answer() {
    let first = finished(mlxengine(&[
        "generate",
        "--backend",
        "mock",
        "--json",
        "Hm.",
    ]))
    .json();
    let seed = first["seed"].to_string();
    let again = [
        "generate",
        "--backend",
        "mock",
        "--json",
        "--seed",
        &seed,
        "Hm.",
    ];
    assert_eq!(finished(mlxengine(&again)).json()["text"], first["text"]);
}

#[test]
fn the_lines_of_stream_add_up_to_the_one_object() {
    let arguments = ["--seed", "3", "--json", "Which?"];
    let whole = generate("A crab: 🦀.", &arguments).json();
    let run = generate("A crab: 🦀.", &[&["--stream"][..], &arguments].concat());
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(first["event"], "start");
    assert_eq!(first["prompt"], whole["prompt"]);
    assert_eq!(last["event"], "done");
    for key in ["finish", "usage", "seed", "ignored"] {
        assert_eq!(last[key], whole[key], "{key}");
    }
    let deltas = || lines.iter().filter(|line| line["event"] == "delta");
    let text: String = deltas()
        .map(|line| line["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, whole["text"]);
    let tokens: Vec<Value> = deltas()
        .flat_map(|line| line["tokens"].as_array().unwrap().clone())
        .collect();
    assert_eq!(Value::Array(tokens), whole["tokens"]);
}

#[test]
fn stdout_has_nothing_but_json() {
    let run = generate("Yes.", &["--json", "--log", "debug", "Really?"]);
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    assert!(run.json().is_object());
}

#[test]
fn a_prompt_is_a_user_message_after_the_system_message() {
    let report = generate("x", &["--json", "--system", "Be brief.", "Why?"]).json();
    assert_eq!(
        report["prompt"],
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n\
         <|im_start|>assistant\n"
    );
}

#[test]
fn a_raw_prompt_is_read_as_it_stands() {
    let report = generate("x", &["--json", "--raw", "Once upon"]).json();
    assert_eq!(report["prompt"], "Once upon");
}

#[test]
fn tokens_are_read_as_they_stand() {
    let report = generate("x", &["--json", "--tokens", "72,105,33"]).json();
    assert_eq!(report["prompt_tokens"], json!([72, 105, 33]));
    assert_eq!(report["prompt"], Value::Null);
    assert_eq!(report["usage"]["prompt_tokens"], 3);
}

#[test]
fn a_file_of_messages_is_a_chat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let messages = json!([
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": "Hello!" },
        { "role": "user", "content": "And?" },
    ]);
    std::fs::write(&path, messages.to_string()).unwrap();
    let report = generate("x", &["--json", "--messages", path.to_str().unwrap()]).json();
    assert_eq!(
        report["prompt"],
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n\
         <|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn settings_reach_the_engine() {
    let limited = generate("one two three four", &["--json", "--max-tokens", "3", "x"]).json();
    assert_eq!(limited["finish"]["reason"], "max_tokens");
    assert_eq!(count(&limited["tokens"]), 3);

    let stop_token = u32::from(b'T').to_string();
    let stopped = generate("one Two", &["--json", "--stop-token", &stop_token, "x"]).json();
    assert_eq!(stopped["finish"]["reason"], "stop_token");
    assert_eq!(stopped["text"], "one ");

    let endless = ["--json", "--ignore-eos", "--max-tokens", "40", "x"];
    assert_eq!(count(&generate("ab", &endless).json()["tokens"]), 40);
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}
