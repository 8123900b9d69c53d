//! What MLX is set up for: the kind of machine, and what computes.

use std::fmt;

use crate::error::Error;

/// The kinds of machine that MLX is built for, outside Apple's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    X86_64,
    Aarch64,
}

impl Target {
    /// This machine's, or why there is none.
    pub(super) fn of_this_machine() -> Result<Self, Error> {
        Self::of(
            std::env::consts::OS,
            std::env::consts::ARCH,
            cfg!(target_env = "gnu"),
        )
    }

    fn of(os: &str, arch: &str, glibc: bool) -> Result<Self, Error> {
        let unsupported = |reason: &str| Error::UnsupportedSystem {
            system: format!("{os} on {arch}"),
            reason: format!("{reason}; the workspace builds and runs without it"),
        };
        match (os, arch) {
            ("linux", _) if !glibc => Err(unsupported(
                "MLX is built for systems with glibc, and this Rust toolchain is for another C library",
            )),
            ("linux", "x86_64") => Ok(Self::X86_64),
            ("linux", "aarch64") => Ok(Self::Aarch64),
            ("linux", _) => Err(unsupported("MLX is built for x86-64 and aarch64 only")),
            _ => Err(unsupported("MLX is built for macOS and Linux only")),
        }
    }

    /// As Rust and Cargo call it.
    pub(super) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }
}

/// Versions of CUDA that MLX is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Cuda {
    #[value(name = "12")]
    V12,
    #[value(name = "13")]
    V13,
}

/// What MLX computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Cpu,
    Cuda(Cuda),
}

impl Flavour {
    pub(super) const ALL: [Self; 3] = [Self::Cpu, Self::Cuda(Cuda::V12), Self::Cuda(Cuda::V13)];
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda(Cuda::V12) => "cuda12",
            Self::Cuda(Cuda::V13) => "cuda13",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_with_glibc_on_both_processors_is_served() {
        assert_eq!(Target::of("linux", "x86_64", true).unwrap(), Target::X86_64);
        assert_eq!(
            Target::of("linux", "aarch64", true).unwrap(),
            Target::Aarch64
        );
    }

    #[test]
    fn other_systems_are_told_that_the_workspace_works_without() {
        for (os, arch, glibc) in [
            ("windows", "x86_64", false),
            ("linux", "x86_64", false),
            ("linux", "riscv64", true),
        ] {
            let message = Target::of(os, arch, glibc).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{os} on {arch}")), "{message}");
            assert!(message.contains("without it"), "{message}");
        }
    }
}
