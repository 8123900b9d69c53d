//! `login` and `logout`.

use hub_fault_server::Settings;

use crate::{
    command::finished,
    hub::{Hub, TOKEN, repo},
};

fn hub() -> Hub {
    let settings = Settings {
        tokens: vec![TOKEN.to_owned()],
        ..Settings::default()
    };
    Hub::with(settings, repo())
}

#[test]
fn a_token_is_checked_and_kept_for_this_user_alone() {
    let hub = hub();
    let mut command = hub.command(&["login", "--json"]);
    command.write_stdin(format!("{TOKEN}\n"));
    let run = finished(command);
    let kept = run.json();
    assert_eq!(kept["account"]["name"], "tester");
    assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN));
    let path = hub.home.path().join(".cache/huggingface/token");
    assert_eq!(kept["kept_in"], path.to_str().unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), TOKEN);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    let out = hub.run(&["logout", "--json"]).json();
    assert_eq!(out["removed"], true);
    assert!(!path.exists());
    let out = hub.run(&["logout"]);
    assert!(out.stdout.starts_with("there was no token"), "{out:?}");
}

#[test]
fn a_token_that_the_hub_does_not_know_is_not_kept() {
    let hub = hub();
    let mut command = hub.command(&["login"]);
    command.write_stdin("hf_wrong");
    let run = finished(command);
    run.refused(
        1,
        &[
            "error: the server does not accept the access token",
            "hint:",
        ],
    );
    assert!(!run.stderr.contains("hf_wrong"), "{run:?}");
    assert!(!hub.home.path().join(".cache/huggingface/token").exists());
}

#[test]
fn without_a_check_nobody_is_asked() {
    let hub = hub();
    let mut command = hub.command(&["login", "--no-check"]);
    command.write_stdin("hf_any").env("HF_HUB_OFFLINE", "1");
    let run = finished(command);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(hub.server.stats().api_requests, 0);
}

#[test]
fn what_can_be_no_token_is_2() {
    let hub = hub();
    for text in ["", "two words", "\n"] {
        let mut command = hub.command(&["login"]);
        command.write_stdin(text);
        finished(command).refused(2, &["is not a valid access token", "hint:"]);
    }
}

#[test]
fn a_variable_that_counts_more_is_told() {
    let hub = hub();
    let mut command = hub.command(&["login"]);
    command.write_stdin(TOKEN).env("HF_TOKEN", "hf_other");
    let run = finished(command);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("HF_TOKEN is set"), "{run:?}");
    assert!(!run.stderr.contains("hf_other"), "{run:?}");
}
