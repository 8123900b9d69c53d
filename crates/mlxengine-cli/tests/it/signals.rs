//! Ctrl-C, and a reader that goes away.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::command::{Finished, PATIENCE, PROGRAM};

/// An answer that takes minutes if nothing stops it.
const SLOW: [&str; 8] = [
    "--backend",
    "mock",
    "--mock-token-delay-ms",
    "20",
    "--ignore-eos",
    "--max-tokens",
    "8000",
    "--mock-reply",
];

fn start(command: &str, arguments: &[&str]) -> Child {
    Command::new(PROGRAM)
        .arg(command)
        .args(SLOW)
        .arg("word ")
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn press_ctrl_c(child: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Waits for the end, and fails rather than wait for ever.
fn wait(mut child: Child) -> Finished {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the program went on and on");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Finished::new(child.wait_with_output().unwrap())
}

#[test]
fn ctrl_c_ends_generate_with_what_there_is_and_130() {
    let mut child = start("generate", &["Go on."]);
    let mut first = [0; 4];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    assert_eq!(&first, b"word");
    press_ctrl_c(&child);
    let run = wait(child);
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.stdout.ends_with('\n'), "{run:?}");
    assert!(!run.stderr.contains("error"), "{run:?}");
}

#[test]
fn ctrl_c_leaves_whole_json() {
    let mut child = start("generate", &["--json", "--stream", "Go on."]);
    // The rest must be read from the same buffer.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("delta") {
        assert!(stdout.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    press_ctrl_c(&child);
    stdout.read_to_string(&mut lines).unwrap();
    let run = wait(child);
    assert_eq!(run.code, Some(130), "{run:?}");
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "done");
    assert_eq!(last["finish"]["reason"], "interrupted");
    assert_eq!(
        lines.lines().filter(|line| line.contains("delta")).count(),
        usize::try_from(last["usage"]["generated_tokens"].as_u64().unwrap()).unwrap()
    );
}

#[test]
fn ctrl_c_stops_an_answer_of_a_piped_chat_and_not_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.json");
    let mut child = start("chat", &[]);
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "Go on.").unwrap();
    let mut first = [0; 4];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    press_ctrl_c(&child);
    writeln!(stdin, "/save {}", path.display()).unwrap();
    drop(stdin);
    let run = wait(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("stopped"), "{run:?}");
    let saved = std::fs::read_to_string(&path).unwrap();
    assert!(saved.contains("word"), "what came is remembered: {saved}");
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    for arguments in [&["Go on."][..], &["--json", "--stream", "Go on."]] {
        let mut child = start("generate", arguments);
        let mut first = [0; 1];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let run = wait(child);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(!run.stderr.contains("error"), "{run:?}");
    }
}
