//! `mlxengine generate` as text.

use crate::command::{finished, generate, mlxengine};

#[test]
fn prints_the_answer_and_ends_its_line() {
    let run = generate("The capital is Paris.", &["Which?"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout, "The capital is Paris.\n");
}

#[test]
fn an_answer_that_ends_its_line_gets_no_second_end() {
    assert_eq!(generate("One line.\n", &["x"]).stdout, "One line.\n");
}

#[test]
fn text_of_any_script_arrives_whole() {
    let reply = "Grüße 你好 🦀🚢";
    assert_eq!(generate(reply, &["x"]).stdout, format!("{reply}\n"));
}

#[test]
fn statistics_go_to_stderr() {
    let run = generate("Yes.", &["--seed", "7", "Really?"]);
    for word in [
        "prompt ",
        "first token after",
        "answer ",
        "ended by end_of_text",
        "seed 7",
    ] {
        assert!(run.stderr.contains(word), "no {word:?} in {run:?}");
    }
}

#[test]
fn quiet_leaves_statistics_out_and_the_warning_about_the_mock_in() {
    let run = generate("Yes.", &["--quiet", "Really?"]);
    assert!(!run.stderr.contains("tokens"), "{run:?}");
    assert!(run.stderr.contains("made up"), "{run:?}");
}

#[test]
fn a_log_that_is_piped_has_no_colours() {
    let run = generate("Yes.", &["--log", "debug", "Really?"]);
    assert!(run.stderr.contains("DEBUG"), "{run:?}");
    assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
}

#[test]
fn the_prompt_comes_from_stdin_if_there_is_none_or_a_dash() {
    for arguments in [&["--json"][..], &["--json", "-"]] {
        let mut command = mlxengine(&["generate", "--backend", "mock"]);
        command.args(arguments).write_stdin("Two\nlines.\n");
        let run = finished(command);
        let json = run.json();
        let prompt = json["prompt"].as_str().unwrap();
        assert!(prompt.contains("user\nTwo\nlines.<|im_end|>"), "{prompt:?}");
    }
}

#[test]
fn stdin_that_is_not_text_is_an_error() {
    let mut command = mlxengine(&["generate", "--backend", "mock"]);
    command.write_stdin(&b"\xff\xfe"[..]);
    finished(command).refused(2, &["error: can't read the prompt from stdin", "UTF-8"]);
}

#[test]
fn a_stop_string_ends_the_answer_and_is_not_part_of_it() {
    let run = generate("one two STOP three", &["--stop", "STOP", "x"]);
    assert_eq!(run.stdout, "one two \n");
    assert!(run.stderr.contains("ended by stop_string"), "{run:?}");
}

#[test]
fn the_model_can_come_from_the_environment() {
    let mut command = mlxengine(&["generate", "--backend", "mock", "--json", "x"]);
    command.env("MLXENGINE_MODEL", "/some/where/tiny");
    assert_eq!(finished(command).json()["model"], "tiny");
}
