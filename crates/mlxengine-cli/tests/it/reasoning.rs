//! Thoughts and calls of tools on the command line.

use serde_json::{Value, json};

use crate::command::{finished, generate, mlxengine};

const REPLY: &str = "<think>\nLet me see.\n</think>\n\nParis.";

#[test]
fn thoughts_stay_out_of_stdout() {
    let run = generate(REPLY, &["Which?"]);
    assert_eq!(run.stdout, "Paris.\n");
    assert!(!run.stderr.contains("Let me see."), "{run:?}");
    assert!(run.stderr.contains("of them thought"), "{run:?}");
    let run = generate(REPLY, &["--reasoning", "show", "Which?"]);
    assert_eq!(run.stdout, "Paris.\n");
    assert!(run.stderr.contains("Let me see.\n"), "{run:?}");
}

#[test]
fn json_has_thoughts_apart_from_the_text() {
    let report = generate(REPLY, &["--json", "Which?"]).json();
    assert_eq!(report["text"], "Paris.");
    assert_eq!(report["reasoning"], "Let me see.");
    assert!(report["usage"]["reasoning_tokens"].as_u64() > Some(0));
    assert_eq!(report.get("tool_calls"), None);
}

#[test]
fn thinking_can_be_turned_off_and_limited() {
    let run = generate(REPLY, &["--json", "--think", "off", "Which?"]);
    let report = run.json();
    assert_eq!(report["text"], "Paris.");
    assert_eq!(report.get("reasoning"), None);
    // The prompt that is reported is the one that was read.
    let prompt = report["prompt"].as_str().unwrap();
    assert!(prompt.ends_with("<think>\n\n</think>\n\n"), "{prompt}");

    let run = generate(REPLY, &["--json", "--max-reasoning-tokens", "5", "Which?"]);
    let report = run.json();
    assert!("Let me see.".starts_with(report["reasoning"].as_str().unwrap()));
    assert_ne!(report["reasoning"], "Let me see.");
}

#[test]
fn thinking_without_a_chat_is_refused() {
    for arguments in [["--think", "on"], ["--max-reasoning-tokens", "5"]] {
        let arguments = [&arguments[..], &["--raw", "Which?"]].concat();
        generate(REPLY, &arguments).refused(4, &["left unset unless the prompt is messages"]);
    }
}

#[test]
fn json_lines_carry_the_events() {
    let run = generate(REPLY, &["--json", "--stream", "Which?"]);
    let events: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let text = |kind: &str| -> String {
        let of_kind = events.iter().filter(|event| event["event"] == kind);
        of_kind.filter_map(|event| event["text"].as_str()).collect()
    };
    assert_eq!(text("reasoning"), "Let me see.");
    assert_eq!(text("delta"), "Paris.");
}

#[test]
fn tools_of_a_file_are_offered_and_calls_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tools.json");
    let tools = json!([{ "type": "function", "function": {
        "name": "time",
        "parameters": { "type": "object", "properties": { "zone": { "type": "string" } } },
    }}]);
    std::fs::write(&path, tools.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let call = r#"<tool_call>{"name": "time", "arguments": {"zone": "CET"}}</tool_call>"#;
    let report = generate(call, &["--json", "--tools", path, "When?"]).json();
    assert_eq!(report["text"], "");
    assert_eq!(
        report["tool_calls"][0]["function"],
        json!({ "name": "time", "arguments": "{\"zone\":\"CET\"}" })
    );
    // The lines of a stream show it while it is written.
    let run = generate(call, &["--json", "--stream", "--tools", path, "When?"]);
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown: Vec<&Value> = lines
        .iter()
        .filter(|line| line["event"] == "tool_call_delta")
        .collect();
    assert_eq!(shown[0]["name"], "time");
    let arguments: String = shown
        .iter()
        .map(|line| line["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, r#"{"zone": "CET"}"#);
    assert!(shown.len() > 2, "{shown:?}");
    let place = |event: &str| lines.iter().position(|line| line["event"] == event);
    assert!(place("tool_call_delta") < place("tool_call"));
    // For a person, as the model wrote it.
    let run = generate(call, &["--tools", path, "When?"]);
    assert_eq!(run.stdout, format!("{call}\n"));

    let wrong = r#"<tool_call>{"name": "date", "arguments": {}}</tool_call>"#;
    let run = generate(wrong, &["--tools", path, "When?"]);
    assert_eq!(run.stdout, format!("{wrong}\n"));
    assert!(
        run.stderr.contains("there is no tool named \"date\""),
        "{run:?}"
    );
    let report = generate(wrong, &["--json", "--tools", path, "When?"]).json();
    assert_eq!(
        report["invalid_tool_calls"][0]["problem"]["kind"],
        "unknown_tool"
    );
}

#[test]
fn a_tool_can_be_forced_or_forbidden() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tools.json");
    let parameters = json!({
        "type": "object",
        "properties": { "zone": { "enum": ["CET"] } },
        "required": ["zone"],
        "additionalProperties": false,
    });
    let tools = ["date", "time"].map(|name| {
        json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
    });
    std::fs::write(&path, json!(tools).to_string()).unwrap();
    let path = path.to_str().unwrap();
    let choose = |choice: &str| {
        let arguments = ["--json", "--tools", path, "--tool-choice", choice, "When?"];
        generate("At noon.", &arguments)
    };
    for (choice, name) in [
        ("required", None),
        ("time", Some("time")),
        ("date", Some("date")),
    ] {
        let report = choose(choice).json();
        assert_eq!(
            (&report["text"], &report["finish"]["reason"]),
            (&json!(""), &json!("constraint_met"))
        );
        let call = &report["tool_calls"][0]["function"];
        assert!(name.is_none_or(|name| call["name"] == name), "{report}");
        assert_eq!(call["arguments"], r#"{"zone":"CET"}"#);
    }
    for (choice, is_shown) in [("auto", true), ("none", false)] {
        let report = choose(choice).json();
        assert_eq!(report["text"], "At noon.");
        let prompt = report["prompt"].as_str().unwrap();
        assert_eq!(prompt.contains("\"zone\""), is_shown, "{prompt}");
    }
    choose("moon").refused(4, &["the name of one of the tools"]);
    generate("x", &["--tool-choice", "auto", "When?"]).refused(2, &["--tools"]);
}

#[test]
fn a_file_of_tools_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tools.json");
    std::fs::write(&path, "[{\"function\": {\"name\": \"two words\"}}]").unwrap();
    let path = path.to_str().unwrap();
    generate("x", &["--tools", path, "When?"]).refused(2, &["tools.json", "names of 1 to 64"]);
}

#[test]
fn a_saved_chat_remembers_thoughts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let mut command = mlxengine(&["chat", "--backend", "mock", "--mock-reply", REPLY]);
    command.write_stdin(format!("Which?\n/save {}\n", path.display()));
    let run = finished(command);
    assert_eq!(run.stdout, "Paris.\n");
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        saved["messages"][1],
        json!({ "role": "assistant", "content": "Paris.", "reasoning": "Let me see." })
    );
}
