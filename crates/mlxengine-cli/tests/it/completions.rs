//! `completions`.

use crate::command::{finished, mlxengine};

#[test]
fn every_shell_gets_a_script_with_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = finished(mlxengine(&["completions", shell]));
        assert_eq!(run.code, Some(0), "{shell}");
        for word in ["pull", "models", "prune", "login", "max-size"] {
            assert!(run.stdout.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn a_script_is_written_where_a_shell_looks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let run = finished(mlxengine(&["completions", "bash", "--folder", path]));
    let written = std::fs::read_to_string(run.stdout.trim_end()).unwrap();
    assert!(written.contains("mlxengine"), "{run:?}");
    let nowhere = finished(mlxengine(&["completions", "bash", "--folder", "/no/such"]));
    nowhere.refused(1, &["error: can't write", "hint:"]);
}

#[test]
fn an_unknown_shell_is_2() {
    let run = finished(mlxengine(&["completions", "tcsh"]));
    assert_eq!(run.code, Some(2), "{run:?}");
}
