//! Finding Python, and fetching wheels with its package manager pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::digest;
use crate::error::Error;
use crate::process::{self, Program};
use crate::progress;

/// The oldest Python that will do.
const OLDEST: (u32, u32) = (3, 9);

/// A Python that has pip.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    program: Program,
}

/// A wheel of the Python package index, pinned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wheel {
    pub(crate) project: &'static str,
    pub(crate) version: &'static str,
    /// SHA-256 of the file for this machine.
    pub(crate) sha256: &'static str,
    /// Size of the file, for the progress bar.
    pub(crate) bytes: u64,
}

impl Python {
    /// The first suitable Python: `$PYTHON`, else `python3` and its like on `PATH`.
    ///
    /// Where Python is there without pip, a virtual environment in `workshop` supplies it.
    pub(crate) fn find(workshop: &Path) -> Option<Self> {
        let newest_first = (OLDEST.1..=15)
            .rev()
            .map(|minor| format!("python3.{minor}"));
        let names: Vec<String> = ["python3".to_owned(), "python".to_owned()]
            .into_iter()
            .chain(newest_first)
            .collect();
        let candidates: Vec<Program> = if std::env::var_os("PYTHON").is_some() {
            Program::find("PYTHON", &[]).into_iter().collect()
        } else {
            names.iter().filter_map(|n| Program::named(n)).collect()
        };
        let new_enough: Vec<Self> = candidates
            .into_iter()
            .map(|program| Self { program })
            .filter(Self::is_new_enough)
            .collect();
        if let Some(with_pip) = new_enough.iter().find(|p| p.has_pip()) {
            return Some(with_pip.clone());
        }
        new_enough
            .iter()
            .find_map(|p| p.virtual_environment(&workshop.join("python")))
    }

    /// Runs Python.
    pub(crate) fn command(&self) -> Command {
        self.program.command()
    }

    fn succeeds(&self, arguments: &[&str]) -> Option<String> {
        let finished = process::capture(self.command().args(arguments)).ok()?;
        finished.success.then_some(finished.stdout)
    }

    fn is_new_enough(&self) -> bool {
        let question = "import sys; print(*sys.version_info[:2])";
        self.succeeds(&["-c", question])
            .and_then(|answer| version(&answer))
            .is_some_and(|version| version >= OLDEST)
    }

    fn has_pip(&self) -> bool {
        self.succeeds(&["-m", "pip", "--version"]).is_some()
    }

    fn virtual_environment(&self, folder: &Path) -> Option<Self> {
        self.succeeds(&["-m", "venv", folder.to_str()?])?;
        let program = Program::at(folder.join("bin").join("python"));
        Some(Self { program }).filter(Self::has_pip)
    }

    /// Downloads a wheel into `folder` and checks its digest.
    pub(crate) fn download(&self, wheel: &Wheel, folder: &Path) -> Result<PathBuf, Error> {
        self.fetch(wheel, "--only-binary", folder)
    }

    /// Downloads a source archive, likewise. What it would take to build it is looked at by pip.
    pub(crate) fn download_source(&self, source: &Wheel, folder: &Path) -> Result<PathBuf, Error> {
        self.fetch(source, "--no-binary", folder)
    }

    fn fetch(&self, wheel: &Wheel, form: &str, folder: &Path) -> Result<PathBuf, Error> {
        let step = progress::bytes(
            &format!("Downloading {} {}", wheel.project, wheel.version),
            wheel.bytes,
        );
        // pip works in the temporary folder, so its files go with the rest if
        // the command is interrupted, and their size tells how far it is.
        let work = folder.join(format!("{}-download", wheel.project));
        let log = folder.join(format!("{}-download.log", wheel.project));
        fs::create_dir_all(&work).map_err(|e| Error::io("create", &work, e))?;
        let log_file = fs::File::create(&log).map_err(|e| Error::io("create", &log, e))?;
        let mut child = self
            .command()
            .args(["-m", "pip", "download", "--no-deps", "--no-input"])
            .args([form, ":all:", "--progress-bar", "off"])
            .arg("--disable-pip-version-check")
            .arg("--dest")
            .arg(work.join("done"))
            .arg(format!("{}=={}", wheel.project, wheel.version))
            .env("TMPDIR", &work)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .spawn()
            .map_err(|e| Error::Failed {
                program: self.program.name(),
                detail: format!("it cannot be started: {e}"),
            })?;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => step.set(size_of(&work).min(wheel.bytes)),
                Err(e) => return Err(Error::io("wait for pip in", &work, e)),
            }
            thread::sleep(Duration::from_millis(100));
        };
        if !status.success() {
            let complaint = fs::read_to_string(&log).unwrap_or_default();
            return Err(explain(wheel, &complaint));
        }
        let file = only_file(&work.join("done"))?;
        digest::check_file(&file, wheel.sha256)?;
        Ok(file)
    }

    /// Unpacks a source archive whose digest was checked.
    pub(crate) fn unpack_archive(&self, archive: &Path, folder: &Path) -> Result<(), Error> {
        process::run_quietly(
            self.command()
                .args(["-m", "tarfile", "-e"])
                .args([archive, folder]),
        )
        .map(drop)
    }

    /// Installs programs, pinned with their digests, and says in which folder they are.
    pub(crate) fn tools(&self, requirements: &str, folder: &Path) -> Result<PathBuf, Error> {
        process::run_quietly(self.command().args(["-m", "venv"]).arg(folder))?;
        let list = folder.join("requirements.txt");
        fs::write(&list, requirements).map_err(|e| Error::io("write", &list, e))?;
        let programs = folder.join("bin");
        process::run_quietly(
            Command::new(programs.join("python"))
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-input"])
                .args(["--only-binary", ":all:", "--require-hashes"])
                .args(["--disable-pip-version-check", "--requirement"])
                .arg(&list),
        )?;
        Ok(programs)
    }

    /// Unpacks a wheel. Python's `zipfile` keeps every file inside `folder`.
    pub(crate) fn unpack(&self, wheel: &Path, folder: &Path) -> Result<(), Error> {
        process::run_quietly(
            self.command()
                .args(["-m", "zipfile", "-e"])
                .args([wheel, folder]),
        )
        .map(drop)
    }
}

fn version(answer: &str) -> Option<(u32, u32)> {
    let (major, minor) = answer.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Turns pip's complaint into one sentence.
fn explain(wheel: &Wheel, complaint: &str) -> Error {
    // With no network pip first says so and then, as if it had looked, that
    // there is no matching distribution.
    const NETWORK: [&str; 3] = ["Retrying (Retry", "ConnectionError", "Could not fetch URL"];
    let what = format!("{} {}", wheel.project, wheel.version);
    if NETWORK.iter().any(|sign| complaint.contains(sign)) {
        return Error::NoNetwork { what };
    }
    if complaint.contains("No matching distribution") {
        return Error::NoSuchWheel {
            what,
            reason: "it is built for Linux on x86-64 and aarch64 with glibc 2.35 or later \
                     (Ubuntu 22.04, Debian 12, Fedora 36), and needs pip 20.3 or later"
                .into(),
        };
    }
    process::failure(&format!("pip download {what}"), complaint)
}

/// The bytes in all files below a folder; files that vanish meanwhile count as nothing.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size_of(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}

fn only_file(folder: &Path) -> Result<PathBuf, Error> {
    let mut entries = fs::read_dir(folder)
        .map_err(|e| Error::io("read the folder", folder, e))?
        .flatten();
    entries
        .next()
        .map(|e| e.path())
        .ok_or_else(|| Error::Failed {
            program: "pip download".into(),
            detail: "it succeeded but left no file".into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEEL: Wheel = Wheel {
        project: "mlx-cpu",
        version: "0.32.2",
        sha256: "",
        bytes: 1,
    };

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(version("3 11\n"), Some((3, 11)));
        assert!(version("3 10") > version("3 9"));
        assert_eq!(version("Python"), None);
    }

    #[test]
    fn no_network_is_told_apart_from_no_such_wheel() {
        let absent = "ERROR: No matching distribution found for mlx-cpu==0.32.2";
        let offline = format!(
            "WARNING: Retrying (Retry(total=4)) after connection broken by '...'\n{absent}"
        );
        assert!(matches!(explain(&WHEEL, &offline), Error::NoNetwork { .. }));
        let message = explain(&WHEEL, absent).to_string();
        assert!(
            message.contains("mlx-cpu 0.32.2") && message.contains("glibc"),
            "{message}"
        );
    }

    #[test]
    fn another_complaint_of_pip_is_shown() {
        let message = explain(&WHEEL, "ERROR: the moon is wrong").to_string();
        assert!(message.contains("the moon is wrong"), "{message}");
    }
}
