//! `mlxengine chat` with piped input.

use std::path::Path;

use serde_json::{Value, json};

use crate::command::{Finished, finished, mlxengine};

/// A chat with the mock, which answers every turn with `reply`.
fn chat(reply: &str, arguments: &[&str], lines: &str) -> Finished {
    let mock = ["chat", "--backend", "mock", "--mock-reply", reply];
    let mut command = mlxengine(&[&mock, arguments].concat());
    command.write_stdin(lines);
    finished(command)
}

/// The messages of a saved chat.
fn saved(path: &Path) -> Value {
    let mut chat: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(chat["version"], 1);
    chat["messages"].take()
}

fn turn(question: &str, answer: &str) -> [Value; 2] {
    [
        json!({ "role": "user", "content": question }),
        json!({ "role": "assistant", "content": answer }),
    ]
}

#[test]
fn each_line_is_a_turn_and_each_answer_a_line() {
    let run = chat("Yes.", &[], "One?\n\nTwo?\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout, "Yes.\nYes.\n");
}

#[test]
fn the_last_line_needs_no_end() {
    assert_eq!(chat("Yes.", &[], "One?").stdout, "Yes.\n");
}

#[test]
fn a_turn_knows_the_turns_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let lines = format!("One?\nTwo?\n/save {}\n", path.display());
    let run = chat("Yes.", &["--system", "Be brief."], &lines);
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut expected = vec![json!({ "role": "system", "content": "Be brief." })];
    expected.extend(turn("One?", "Yes."));
    expected.extend(turn("Two?", "Yes."));
    assert_eq!(saved(&path), Value::Array(expected));
    let counts: Vec<&str> = run.stderr.matches("prompt 5").collect();
    assert!(
        counts.len() < 2,
        "the second prompt must be longer: {run:?}"
    );
}

#[test]
fn a_saved_chat_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let save = format!("/save {}\n", path.display());
    chat("Yes.", &[], &format!("One?\n{save}"));
    let path_text = path.to_str().unwrap();
    chat("No.", &["--messages", path_text], &format!("Two?\n{save}"));
    let expected = [turn("One?", "Yes."), turn("Two?", "No.")].concat();
    assert_eq!(saved(&path), Value::Array(expected));
}

#[test]
fn clear_forgets_turns_and_keeps_instructions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let lines = format!(
        "/system Be brief.\nOne?\n/clear\nTwo?\n/save {}\n",
        path.display()
    );
    chat("Yes.", &[], &lines);
    let mut expected = vec![json!({ "role": "system", "content": "Be brief." })];
    expected.extend(turn("Two?", "Yes."));
    assert_eq!(saved(&path), Value::Array(expected));
}

#[test]
fn instructions_are_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.json"), folder.path().join("2.json"));
    let lines = format!(
        "/system A\n/system B\n/save {}\n/system\nHi\n/save {}\n",
        first.display(),
        second.display()
    );
    chat("Yes.", &[], &lines);
    assert_eq!(saved(&first), json!([{ "role": "system", "content": "B" }]));
    assert_eq!(saved(&second), Value::Array(turn("Hi", "Yes.").to_vec()));
}

#[test]
fn exit_leaves_before_the_input_ends() {
    let run = chat("Yes.", &[], "One?\n/exit\nTwo?\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "Yes.\n"));
}

#[test]
fn two_slashes_say_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    chat("Yes.", &[], &format!("//etc?\n/save {}\n", path.display()));
    assert_eq!(saved(&path), Value::Array(turn("/etc?", "Yes.").to_vec()));
}

#[test]
fn a_misspelt_command_ends_a_piped_chat() {
    let run = chat("Yes.", &[], "/sytem x\nOne?\n");
    run.refused(2, &["there is no command /sytem", "hint: /help"]);
}

#[test]
fn a_turn_that_is_refused_ends_a_piped_chat_with_its_code() {
    let long = format!("Hi\n{}\nHi\n", "word ".repeat(100));
    let run = chat("Yes.", &["--context", "100"], &long);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (Some(4), "Yes.\n"),
        "{run:?}"
    );
    assert!(run.stderr.contains("error: the prompt has"), "{run:?}");
}

#[test]
fn a_chat_cannot_be_saved_where_nothing_can_be_written() {
    let run = chat("Yes.", &[], "/save /no/such/folder/chat.json\n");
    run.refused(
        1,
        &["error: can't write /no/such/folder/chat.json", "hint:"],
    );
}

#[test]
fn an_answer_is_given_again_edited_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let save = format!("/save {}\n", path.display());
    let run = chat("Yes.", &[], &format!("One?\n/again\n/edit Two?\n{save}"));
    assert_eq!(run.stdout, "Yes.\nYes.\nYes.\n", "{run:?}");
    assert_eq!(saved(&path), Value::Array(turn("Two?", "Yes.").to_vec()));
    let run = chat("Yes.", &[], &format!("One?\nTwo?\n/back\n{save}"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(saved(&path), Value::Array(turn("One?", "Yes.").to_vec()));
}

#[test]
fn nothing_can_be_taken_back_from_an_empty_chat() {
    let run = chat("Yes.", &[], "/back\n");
    run.refused(
        2,
        &["there is no message to answer", "hint: send a message"],
    );
}

#[test]
fn another_chat_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let path_text = path.display();
    chat("Yes.", &[], &format!("One?\n/save {path_text}\n"));
    let lines = format!("Two?\n/load {path_text}\nThree?\n/save {path_text}\n");
    let run = chat("No.", &[], &lines);
    assert_eq!(run.code, Some(0), "{run:?}");
    let expected = [turn("One?", "Yes."), turn("Three?", "No.")].concat();
    assert_eq!(saved(&path), Value::Array(expected));
    // An array of messages is a chat as well.
    std::fs::write(&path, json!(turn("One?", "Yes.")).to_string()).unwrap();
    let run = chat("No.", &[], &format!("/load {path_text}\n/again\n"));
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (Some(0), "No.\n"),
        "{run:?}"
    );
}

#[test]
fn a_chat_is_written_down_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.md");
    let run = chat("Yes.", &[], &format!("One?\n/export {}\n", path.display()));
    assert_eq!(run.code, Some(0), "{run:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "## User\n\nOne?\n\n## Assistant\n\nYes.\n");
}

#[test]
fn a_full_context_drops_the_oldest_turns_where_that_is_asked_for() {
    let line = "one two three four five six seven eight nine ten\n";
    let lines = line.repeat(12);
    let arguments = ["--context", "150", "--max-tokens", "20"];
    let refused = chat("Yes.", &arguments, &lines);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let run = chat(
        "Yes.",
        &[&arguments[..], &["--drop-oldest"]].concat(),
        &lines,
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout, "Yes.\n".repeat(12));
    assert!(run.stderr.contains("the context is full"), "{run:?}");
}
