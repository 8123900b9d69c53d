//! The program at a terminal.

use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

use crate::command::{PATIENCE, PROGRAM};

fn start(arguments: &[&str]) -> PtySession {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env("TERM", "xterm")
        .env_remove("MLXENGINE_MODEL")
        .env_remove("RUST_LOG");
    let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
    spawn_command(command, Some(patience)).unwrap()
}

#[track_caller]
fn ends_with(terminal: &mut PtySession, code: i32) {
    let rest = terminal.exp_eof().unwrap();
    // The type of the status is not public: "Exited(Pid(1), 0)".
    let status = format!("{:?}", terminal.process().wait().unwrap());
    assert!(status.starts_with("Exited"), "{status}: {rest}");
    assert!(status.ends_with(&format!(", {code})")), "{status}: {rest}");
}

#[test]
fn generate_without_a_prompt_does_not_wait_for_one() {
    let mut terminal = start(&["generate", "--backend", "mock"]);
    terminal.exp_string("error: there is no prompt").unwrap();
    ends_with(&mut terminal, 2);
}

#[test]
fn an_answer_cannot_steer_the_terminal() {
    let reply = "before\u{1b}]0;title\u{7}after";
    let arguments = [
        "generate",
        "--quiet",
        "--backend",
        "mock",
        "--mock-reply",
        reply,
        "x",
    ];
    let shown = start(&arguments).exp_eof().unwrap();
    assert!(
        shown.contains("before") && shown.contains("]0;title"),
        "{shown:?}"
    );
    assert!(
        !shown.contains("\u{1b}]") && !shown.contains('\u{7}'),
        "{shown:?}"
    );
}

#[test]
fn a_chat_asks_answers_and_ends_with_ctrl_d() {
    let mut terminal = start(&["chat", "--backend", "mock", "--mock-reply", "Good day."]);
    terminal.exp_string("> ").unwrap();
    terminal.send_line("Hello").unwrap();
    terminal.exp_string("Good day.").unwrap();
    terminal.exp_string("> ").unwrap();
    terminal.send_control('d').unwrap();
    ends_with(&mut terminal, 0);
}

#[test]
fn ctrl_c_stops_the_answer_and_twice_at_the_prompt_leaves() {
    let slow = [
        "--mock-token-delay-ms",
        "20",
        "--ignore-eos",
        "--max-tokens",
        "8000",
    ];
    let chat = ["chat", "--backend", "mock", "--mock-reply", "word "];
    let mut terminal = start(&[&chat[..], &slow].concat());
    terminal.exp_string("> ").unwrap();
    terminal.send_line("Go on").unwrap();
    terminal.exp_string("word word").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("stopped").unwrap();
    terminal.exp_string("> ").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("again").unwrap();
    terminal.exp_string("> ").unwrap();
    terminal.send_control('c').unwrap();
    ends_with(&mut terminal, 0);
}

#[test]
fn a_mistake_at_the_prompt_does_not_end_the_chat() {
    let mut terminal = start(&["chat", "--backend", "mock", "--mock-reply", "Good day."]);
    terminal.exp_string("> ").unwrap();
    terminal.send_line("/nonsense").unwrap();
    terminal
        .exp_string("there is no command /nonsense")
        .unwrap();
    terminal.exp_string("> ").unwrap();
    terminal.send_line("/help").unwrap();
    terminal.exp_string("/save FILE.json").unwrap();
    terminal.send_line("/exit").unwrap();
    ends_with(&mut terminal, 0);
}
