//! How the program ends when it can't do what it was asked to: the code, and the words.

use crate::command::{finished, generate, mlxengine};

#[test]
fn a_value_out_of_range_is_4_and_names_the_field() {
    for (flag, value, field) in [
        ("--temperature", "nan", "temperature"),
        ("--temperature", "-1", "temperature"),
        ("--top-p", "0", "top_p"),
        ("--top-k", "0", "top_k"),
        ("--min-p", "1.5", "min_p"),
        ("--repetition-penalty", "0", "repetition_penalty"),
        ("--presence-penalty", "-3", "presence_penalty"),
        ("--frequency-penalty", "inf", "frequency_penalty"),
        ("--penalty-window", "0", "penalty_window"),
        ("--max-tokens", "0", "max_tokens"),
        ("--stop", "", "stop"),
        ("--context", "0", "context_length"),
    ] {
        let run = generate("x", &[flag, value, "hello"]);
        let hint = format!("hint: change {field} to a value in its range");
        run.refused(4, &[&format!("error: {field} must be "), &hint]);
    }
}

#[test]
fn a_prompt_without_room_for_an_answer_is_4() {
    let run = generate("x", &["--context", "8", "--raw", "a prompt of many bytes"]);
    run.refused(
        4,
        &["error: the prompt has", "context holds 8", "hint: shorten"],
    );
}

#[test]
fn a_token_outside_the_vocabulary_is_4() {
    generate("x", &["--tokens", "4000000000"]).refused(4, &["token 4000000000", "hint:"]);
}

#[test]
fn an_empty_prompt_is_4() {
    generate("x", &[""]).refused(4, &["error: prompt must be"]);
}

#[test]
fn an_option_that_the_backend_lacks_is_4() {
    let run = generate("x", &["--device", "metal", "hello"]);
    run.refused(4, &["the mock backend does not support device", "hint:"]);
}

#[test]
fn a_model_that_cannot_be_loaded_is_3() {
    for backend in ["mlx", "cpu", "auto"] {
        let arguments = [
            "generate",
            "--backend",
            backend,
            "--model",
            "/no/such/model",
            "hi",
        ];
        finished(mlxengine(&arguments)).refused(3, &["error: ", "hint: "]);
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_2() {
    for arguments in [
        &["generate", "--temperature", "warm", "hi"][..],
        &["generate", "--backend", "metal", "hi"],
        &["generate", "--backend", "mock", "--stream", "hi"],
        &[
            "generate",
            "--backend",
            "mock",
            "--raw",
            "--system",
            "x",
            "hi",
        ],
        &["generate", "--backend", "mock", "--tokens", "1,b"],
        &["generate", "--backend", "mock", "--tokens", "1", "hi"],
        &["speak"],
        &[],
    ] {
        let run = finished(mlxengine(arguments));
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
}

#[test]
fn without_a_model_it_says_how_to_name_one() {
    let run = finished(mlxengine(&["generate", "hi"]));
    run.refused(2, &["there is no model", "--model", "MLXENGINE_MODEL"]);
}

#[test]
fn settings_of_the_mock_are_refused_elsewhere() {
    for flag in [["--mock-reply", "x"], ["--mock-token-delay-ms", "5"]] {
        let arguments = ["generate", "--model", "m", flag[0], flag[1], "hi"];
        finished(mlxengine(&arguments)).refused(2, &["for the mock", "--backend mock"]);
    }
}

#[test]
fn files_of_messages_that_cannot_be_used_are_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let path = path.to_str().unwrap();
    generate("x", &["--messages", path]).refused(2, &["error: can't read", path]);
    std::fs::write(path, "{}").unwrap();
    generate("x", &["--messages", path]).refused(2, &[path, "holds no chat", "hint:"]);
    std::fs::write(path, "[]").unwrap();
    generate("x", &["--messages", path]).refused(4, &["messages must be at least one message"]);
}

#[test]
fn a_log_filter_that_is_none_is_2() {
    let run = generate("x", &["--log", "engine_mlx=loud", "hi"]);
    run.refused(2, &["--log", "hint:"]);
}

#[test]
fn a_log_filter_of_other_programs_is_passed_over() {
    let mut command = mlxengine(&["generate", "--backend", "mock", "hi"]);
    command.env("RUST_LOG", "a[b{c=d}]=trace");
    assert_eq!(finished(command).code, Some(0));
}

#[test]
fn help_and_version_are_0_and_help_lists_the_codes() {
    let help = finished(mlxengine(&["--help"]));
    assert_eq!(help.code, Some(0));
    for code in [
        "0  done",
        "3  the model can't be loaded",
        "130  interrupted",
    ] {
        assert!(help.stdout.contains(code), "{help:?}");
    }
    let version = finished(mlxengine(&["--version"]));
    assert_eq!(
        version.stdout,
        format!("mlxengine {}\n", env!("CARGO_PKG_VERSION"))
    );
}
