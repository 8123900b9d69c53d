//! Fetching and logging in at a terminal.

use std::process::Command;

use hub_fault_server::{Content, Fault, Repo, Settings, Stage};
use rexpect::session::{PtySession, spawn_command};

use crate::{
    command::{PATIENCE, PROGRAM},
    hub::{Hub, ID, TOKEN, repo},
};

fn start(hub: &Hub, arguments: &[&str]) -> PtySession {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env_clear()
        .env("TERM", "xterm")
        .env("HOME", hub.home.path())
        .env("HF_ENDPOINT", hub.server.url());
    let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
    spawn_command(command, Some(patience)).unwrap()
}

/// All that was shown until the program ended with this code.
#[track_caller]
fn ends_with(terminal: &mut PtySession, code: i32) -> String {
    let rest = terminal.exp_eof().unwrap();
    // The type of the status is not public: "Exited(Pid(1), 0)".
    let status = format!("{:?}", terminal.process().wait().unwrap());
    assert!(status.ends_with(&format!(", {code})")), "{status}: {rest}");
    rest
}

#[test]
fn a_token_is_asked_for_and_not_shown() {
    let settings = Settings {
        tokens: vec![TOKEN.to_owned()],
        ..Settings::default()
    };
    let hub = Hub::with(settings, repo());
    let mut terminal = start(&hub, &["login"]);
    let before = terminal.exp_string("Access token (not shown): ").unwrap();
    terminal.send_line(TOKEN).unwrap();
    let after = ends_with(&mut terminal, 0);
    assert!(after.contains("the token of tester is kept in"), "{after}");
    assert!(
        !format!("{before}{after}").contains(TOKEN),
        "{before}{after}"
    );
}

#[test]
fn bars_show_how_far_a_fetch_is_and_go_away() {
    let large = repo().lfs("second.safetensors", Content::noise(2, 5_000_000));
    let hub = Hub::with(
        Settings {
            bytes_per_second: Some(8_000_000),
            ..Settings::default()
        },
        large,
    );
    let mut terminal = start(&hub, &["pull", ID]);
    terminal.exp_string("second.safetensors").unwrap();
    terminal.exp_string("MB").unwrap();
    let rest = ends_with(&mut terminal, 0);
    assert!(rest.contains("fetched 5.30 MB"), "{rest:?}");
    assert!(rest.trim_end().ends_with(repo().commit()), "{rest:?}");
}

#[test]
fn ctrl_c_ends_a_fetch_which_then_goes_on() {
    // More than is ever kept back before it is written.
    const SIZE: u64 = 24_000_000;
    let large = Repo::new(ID)
        .file("config.json", Content::bytes("{}"))
        .lfs("model.safetensors", Content::noise(1, SIZE));
    let hub = Hub::with(Settings::default(), large);
    let stall = Fault::Stall { after: 6_000_000 };
    hub.server.script(Stage::Body, "model.safetensors", [stall]);
    let mut terminal = start(&hub, &["pull", ID]);
    terminal.exp_regex(r"[1-9]\d?\.\d\d MB/24\.00 MB").unwrap();
    terminal.send_control('c').unwrap();
    ends_with(&mut terminal, 130);
    hub.offline(&["pull", ID])
        .refused(1, &["is not on this machine"]);
    let done = hub.run(&["pull", "--json", ID]).json();
    let received = done["received_bytes"].as_u64().unwrap();
    assert!(received <= SIZE - 1_000_000, "{done}");
}
