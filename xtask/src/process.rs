//! Finding and running other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, says_disk_full};

/// A program's name and the arguments that always go with it, as in `CXX="ccache g++"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// The first of these that exists: what the environment variable names, else the names in order.
    ///
    /// A variable that names a missing program counts as nothing found, since
    /// the user asked for that one.
    pub(crate) fn find(variable: &str, names: &[&str]) -> Option<Self> {
        let chosen = std::env::var(variable).unwrap_or_default();
        let mut words = chosen.split_whitespace();
        let Some(first) = words.next() else {
            return names.iter().find_map(|name| Self::named(name));
        };
        Some(Self {
            path: on_path(first)?,
            arguments: words.map(str::to_owned).collect(),
        })
    }

    /// The program of this name or path.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(Self {
            path: on_path(name)?,
            arguments: Vec::new(),
        })
    }

    /// A program at a known place.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            path,
            arguments: Vec::new(),
        }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        command
    }

    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Looks a program up as a shell would.
fn on_path(name: &str) -> Option<PathBuf> {
    if name.contains(std::path::MAIN_SEPARATOR) {
        return Path::new(name).is_file().then(|| name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(&path, name)
}

fn find_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
        .find(|candidate| candidate.is_file())
}

/// The Cargo that runs this program, else the one on `PATH`.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// How a captured program ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end with its output captured.
pub(crate) fn capture(command: &mut Command) -> Result<Finished, Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| cannot_start(command, &e))?;
    Ok(Finished {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a program whose output is wanted only if it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<String, Error> {
    let finished = capture(command)?;
    if finished.success {
        return Ok(finished.stdout);
    }
    Err(failure(&describe(command), &finished.stderr))
}

/// Runs a program that speaks to the terminal itself.
pub(crate) fn run_visibly(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|e| cannot_start(command, &e))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: describe(command),
        detail: status.to_string(),
    })
}

/// The executable that Cargo's messages in JSON say it has built.
pub(crate) fn built_executable(messages: &str) -> Result<PathBuf, Error> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .ok_or_else(|| failure("cargo build", "it names no executable"))
}

/// The error for a program that ended badly after printing `output`.
pub(crate) fn failure(program: &str, output: &str) -> Error {
    if says_disk_full(output) {
        return Error::DiskFull {
            path: ".mlxengine".into(),
        };
    }
    Error::Failed {
        program: program.to_owned(),
        detail: telling_lines(output),
    }
}

/// The lines of a program's complaint that say most: its errors, or its last ones.
fn telling_lines(output: &str) -> String {
    let lines = || output.lines().map(str::trim).filter(|l| !l.is_empty());
    let mut errors: Vec<_> = lines()
        .filter(|l| l.to_lowercase().contains("error"))
        .take(3)
        .collect();
    if errors.is_empty() {
        errors = lines().rev().take(3).collect();
        errors.reverse();
    }
    errors.join(" / ")
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let first = command.get_args().take(2).map(OsStr::to_string_lossy);
    let mut words = vec![name.to_string_lossy()];
    words.extend(first);
    words.join(" ")
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Error {
    Error::Failed {
        program: describe(command),
        detail: format!("it cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_holds_no_program() {
        assert_eq!(find_in(OsStr::new(""), "sh"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_failed_program_is_named_with_its_complaint() {
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            "echo warming up >&2; echo 'error: no fuel' >&2; exit 3",
        ]);
        let message = run_quietly(&mut command).unwrap_err().to_string();
        assert!(
            message.contains("sh -c") && message.ends_with("error: no fuel"),
            "{message}"
        );
    }

    #[test]
    fn a_full_disk_in_a_programs_output_is_told_as_such() {
        let error = failure(
            "c++",
            "fatal error: error writing to /x: No space left on device",
        );
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    }

    #[test]
    fn without_an_error_line_the_last_lines_are_shown() {
        assert_eq!(telling_lines("a\nb\n\nc\nd\n"), "b / c / d");
    }
}
