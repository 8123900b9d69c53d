//! The programs that the set-up runs, and what to say when one is missing.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::process::Program;
use crate::python::Python;

/// Everything that is needed from the machine.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) python: Python,
    pub(crate) compiler: Program,
    pub(crate) archiver: Program,
}

impl Tools {
    /// Finds them all, or names all that are missing.
    pub(crate) fn find(workshop: &Path) -> Result<Self, Error> {
        let python = Python::find(workshop);
        let compiler = Program::find("CXX", &["c++", "g++", "clang++"]);
        let archiver = Program::find("AR", &["ar", "llvm-ar"]);
        let lacks = [
            python.is_none().then_some(Lack::Python),
            compiler.is_none().then_some(Lack::Compiler),
            archiver.is_none().then_some(Lack::Archiver),
        ];
        match (python, compiler, archiver) {
            (Some(python), Some(compiler), Some(archiver)) => Ok(Self {
                python,
                compiler,
                archiver,
            }),
            _ => Err(missing(&lacks.into_iter().flatten().collect::<Vec<_>>())),
        }
    }
}

/// Something that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    Python,
    Compiler,
    Archiver,
}

/// The error that names everything missing, and how this system installs it.
pub(crate) fn missing(lacks: &[Lack]) -> Error {
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    Error::Missing {
        what: lacks
            .iter()
            .map(|l| l.name())
            .collect::<Vec<_>>()
            .join(", no "),
        remedy: remedy(&os_release, lacks),
    }
}

impl Lack {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "Python 3.9 or later with pip (or with venv)",
            Self::Compiler => "C++ compiler (c++, g++ or clang++)",
            Self::Archiver => "`ar`",
        }
    }

    fn packages(self, manager: &Manager) -> &'static str {
        match self {
            Self::Python => manager.python,
            Self::Compiler => manager.compiler,
            Self::Archiver => "binutils",
        }
    }
}

/// A family of Linux systems and how one installs something there.
struct Manager {
    systems: &'static [&'static str],
    command: &'static str,
    python: &'static str,
    compiler: &'static str,
}

const MANAGERS: [Manager; 5] = [
    Manager {
        systems: &["debian", "ubuntu"],
        command: "sudo apt-get install",
        python: "python3 python3-pip",
        compiler: "g++",
    },
    Manager {
        systems: &["fedora", "rhel", "centos"],
        command: "sudo dnf install",
        python: "python3 python3-pip",
        compiler: "gcc-c++",
    },
    Manager {
        systems: &["arch"],
        command: "sudo pacman -S",
        python: "python python-pip",
        compiler: "gcc",
    },
    Manager {
        systems: &["suse", "opensuse"],
        command: "sudo zypper install",
        python: "python3 python3-pip",
        compiler: "gcc-c++",
    },
    Manager {
        systems: &["nixos"],
        command: "nix-shell -p",
        python: "python3 python3Packages.pip",
        compiler: "gcc",
    },
];

fn remedy(os_release: &str, lacks: &[Lack]) -> String {
    // ID is the system, ID_LIKE those that it is made from.
    let systems: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    let manager = MANAGERS
        .iter()
        .find(|manager| systems.iter().any(|s| manager.systems.contains(s)));
    match manager {
        Some(manager) => {
            let packages: Vec<_> = lacks.iter().map(|l| l.packages(manager)).collect();
            format!("install with `{} {}`", manager.command, packages.join(" "))
        }
        None => "install with your system's package manager, so that it is on PATH".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_the_systems_own_command() {
        let lacks = [Lack::Python, Lack::Compiler];
        assert_eq!(
            remedy("NAME=x\nID=debian\n", &lacks),
            "install with `sudo apt-get install python3 python3-pip g++`"
        );
        assert_eq!(
            remedy(
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                &[Lack::Compiler]
            ),
            "install with `sudo dnf install gcc-c++`"
        );
        assert!(remedy("", &lacks).contains("package manager"));
    }

    #[test]
    fn everything_missing_is_named_at_once() {
        let message = missing(&[Lack::Python, Lack::Compiler, Lack::Archiver]).to_string();
        assert!(
            message.starts_with(
                "this machine has no Python 3.9 or later with pip (or with venv), \
                 no C++ compiler (c++, g++ or clang++), no `ar`; install"
            ),
            "{message}"
        );
    }
}
