//! Machines on which the set-up cannot succeed.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A workspace with nothing in it, and a machine with only the given programs.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn with_programs(programs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["workspace", "bin"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let machine = Self { folder };
        for (name, script) in programs {
            let path = machine.folder.path().join("bin").join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        machine
    }

    fn workspace(&self) -> std::path::PathBuf {
        self.folder.path().join("workspace")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["--root".as_ref(), self.workspace().as_os_str()])
            .args(arguments)
            .env("PATH", self.folder.path().join("bin"))
            .env("CARGO", self.folder.path().join("bin/cargo"))
            .env_remove("CXX")
            .env_remove("AR")
            .env_remove("PYTHON")
            .output()
            .unwrap()
    }

    /// Runs the program, which must end with code 1 and one line, and returns that line.
    fn complaint(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<_> = text.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{text}");
        assert_eq!(text.lines().last(), Some(errors[0]), "{text}");
        self.assert_nothing_half_done();
        errors[0].to_owned()
    }

    fn assert_nothing_half_done(&self) {
        let workspace = self.workspace();
        assert!(!workspace.join(".cargo/mlx.toml").exists());
        assert_eq!(names(&workspace.join(".mlxengine")), ["lock"]);
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Answers the questions that are asked of a Python before it is used, then does `work`.
fn python(work: &str) -> String {
    format!(
        "case \"$*\" in\n\
         *version_info*) echo 3 12 ;;\n\
         *'pip --version'*) ;;\n\
         *) {work} ;;\n\
         esac"
    )
}

/// A `cargo` whose metadata names an `mlx-sys` with the sources that the set-up looks for.
fn cargo(machine: &Machine, build: &str) {
    let package = machine.folder.path().join("mlx-sys");
    fs::create_dir_all(package.join("src/mlx-c/mlx/c")).unwrap();
    fs::write(
        package.join("src/mlx-c/CMakeLists.txt"),
        "GIT_TAG v0.32.2)\n",
    )
    .unwrap();
    let answer = format!(
        r#"{{"packages": [{{"name": "mlx-sys", "version": "0.7.0", "id": "a", "manifest_path": "{}/Cargo.toml", "dependencies": []}}], "workspace_members": [], "resolve": {{"nodes": []}}}}"#,
        package.display()
    );
    let path = machine.folder.path().join("bin/cargo");
    fs::write(
        &path,
        format!("#!/bin/sh\ncase \"$1\" in metadata) echo '{answer}' ;; *) {build} ;; esac\n"),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_empty_machine_is_told_everything_it_lacks() {
    let message = Machine::with_programs(&[]).complaint(&["setup"]);
    for part in ["Python 3.9 or later", "C++ compiler", "`ar`", "install"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn only_what_is_missing_is_named() {
    let machine = Machine::with_programs(&[("python3", &python("exit 1")), ("ar", "")]);
    let message = machine.complaint(&["setup"]);
    assert!(message.contains("C++ compiler"), "{message}");
    assert!(!message.contains("Python"), "{message}");
}

#[test]
fn a_python_that_is_too_old_counts_as_none() {
    let machine = Machine::with_programs(&[("python3", "echo 3 8"), ("ar", ""), ("g++", "")]);
    let message = machine.complaint(&["setup"]);
    assert!(message.contains("no Python 3.9 or later"), "{message}");
}

#[test]
fn a_python_without_pip_and_venv_counts_as_none() {
    let script = "case \"$*\" in *version_info*) echo 3 12 ;; *) exit 1 ;; esac";
    let machine = Machine::with_programs(&[("python3", script), ("ar", ""), ("g++", "")]);
    let message = machine.complaint(&["setup"]);
    assert!(message.contains("with pip"), "{message}");
}

#[test]
fn without_a_network_the_set_up_says_so_and_leaves_nothing() {
    let offline = python("echo 'WARNING: Retrying (Retry(total=0))' >&2; exit 1");
    let machine = Machine::with_programs(&[("python3", &offline), ("ar", ""), ("g++", "")]);
    cargo(&machine, "exit 0");
    let message = machine.complaint(&["setup"]);
    assert!(message.contains("connect to the network"), "{message}");
    assert!(message.contains("mlx-cpu 0.32.2"), "{message}");
}

#[test]
fn a_full_disk_is_told_with_the_room_that_is_needed() {
    let full = python("echo 'OSError: [Errno 28] No space left on device' >&2; exit 2");
    let machine = Machine::with_programs(&[("python3", &full), ("ar", ""), ("g++", "")]);
    cargo(&machine, "exit 0");
    let message = machine.complaint(&["setup"]);
    assert!(message.contains("is full; free at least"), "{message}");
}

#[test]
fn a_file_other_than_the_pinned_one_is_refused() {
    // pip's arguments end with: --dest FOLDER PROJECT==VERSION.
    let wrong = python(
        "while [ $# -gt 2 ]; do shift; done; /bin/mkdir -p \"$1\"; echo other > \"$1/mlx.whl\"",
    );
    let machine = Machine::with_programs(&[("python3", &wrong), ("ar", ""), ("g++", "")]);
    cargo(&machine, "exit 0");
    let message = machine.complaint(&["setup"]);
    assert!(
        message.contains("is not the file that was expected"),
        "{message}"
    );
}

#[test]
fn the_model_needs_python_and_nothing_else() {
    let machine = Machine::with_programs(&[]);
    fs::create_dir_all(machine.workspace().join("crates/model-files/src")).unwrap();
    let message = machine.complaint(&["model"]);
    assert!(message.contains("Python"), "{message}");
    assert!(!message.contains("compiler"), "{message}");
}

#[test]
fn what_an_interrupted_set_up_left_is_cleared_by_the_next() {
    let machine = Machine::with_programs(&[]);
    let left = machine.workspace().join(".mlxengine/.unfinished-1/mlx");
    fs::create_dir_all(&left).unwrap();
    // A link out of it must not take its target along.
    let outside = machine.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    symlink(&outside, left.join("link")).unwrap();
    machine.complaint(&["setup"]);
    assert!(outside.join("kept").exists());
}
