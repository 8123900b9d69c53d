//! On Apple's systems `mlx-sys` builds MLX itself: all that is needed are its tools.

use std::process::Command;

use crate::error::Error;
use crate::process::{self, Program};
use crate::progress::say;

/// A tool that building MLX for Metal needs.
struct Tool {
    what: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    remedy: &'static str,
}

/// In the order in which to install them.
const TOOLS: [Tool; 3] = [
    Tool {
        what: "C++ compiler of Xcode",
        program: "xcrun",
        arguments: &["-sdk", "macosx", "--find", "clang++"],
        remedy: "install Xcode from the App Store, then run `sudo xcode-select --switch /Applications/Xcode.app`",
    },
    Tool {
        what: "Metal compiler",
        program: "xcrun",
        arguments: &["-sdk", "macosx", "metal", "--version"],
        remedy: "install Xcode (its command line tools alone have none) and run `xcodebuild -downloadComponent MetalToolchain`",
    },
    Tool {
        what: "CMake",
        program: "cmake",
        arguments: &["--version"],
        remedy: "install it with `brew install cmake`",
    },
];

/// Says that all is there, or the first thing that is missing.
pub(super) fn check() -> Result<(), Error> {
    check_with(|tool| {
        Program::named(tool.program).is_some()
            && process::capture(Command::new(tool.program).args(tool.arguments))
                .is_ok_and(|finished| finished.success)
    })?;
    say("Nothing to set up: MLX is built with the workspace, for Metal.");
    Ok(())
}

fn check_with(works: impl Fn(&Tool) -> bool) -> Result<(), Error> {
    match TOOLS.iter().find(|tool| !works(tool)) {
        None => Ok(()),
        Some(tool) => Err(Error::Missing {
            what: tool.what.into(),
            remedy: tool.remedy.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_tool_is_named_with_its_remedy() {
        check_with(|_| true).unwrap();
        let message = check_with(|tool| tool.program != "cmake")
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "this machine has no CMake; install it with `brew install cmake`"
        );
        let message = check_with(|_| false).unwrap_err().to_string();
        assert!(message.contains("C++ compiler of Xcode"), "{message}");
    }
}
