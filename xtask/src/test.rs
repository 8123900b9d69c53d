//! `cargo xtask test`: all set-up, then every test of the workspace.

use std::process::Command;

use crate::environment::HUGGINGFACE_HUB;
use crate::error::Error;
use crate::layout::Layout;
use crate::process::{self, Program};
use crate::progress::say;
use crate::{model, setup};

/// Names a Python that has `huggingface_hub`, for the tests of interoperability.
const PYTHON_VARIABLE: &str = "MLXENGINE_TEST_HUB_PYTHON";

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run only the tests whose name contains this, and no documentation tests.
    filter: Option<String>,
}

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    setup::ensure(layout)?;
    model::ensure(layout)?;
    let python = HUGGINGFACE_HUB.set_up(layout)?;
    let mut tests = tests(layout, Program::named("cargo-nextest").is_some());
    tests.env(PYTHON_VARIABLE, python);
    if let Some(filter) = &arguments.filter {
        return process::run_visibly(tests.arg(filter));
    }
    process::run_visibly(&mut tests)?;
    say("All tests passed; now the examples in the documentation.");
    process::run_visibly(&mut documentation_tests(layout))
}

/// Everything but the documentation tests, which are Cargo's own with either runner.
fn tests(layout: &Layout, has_nextest: bool) -> Command {
    let mut command = cargo(layout);
    if has_nextest {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        // The targets that nextest runs too.
        command.args(["test", "--workspace", "--no-fail-fast"]);
        command.args(["--lib", "--bins", "--tests"]);
    }
    command
}

fn documentation_tests(layout: &Layout) -> Command {
    let mut command = cargo(layout);
    command.args(["test", "--doc", "--workspace", "--no-fail-fast"]);
    command
}

/// Cargo, with MLX, told where the models are and that no test may be skipped for the lack of one.
fn cargo(layout: &Layout) -> Command {
    let mut command = setup::cargo_with_mlx();
    command
        .current_dir(layout.root())
        .env("MLXENGINE_TEST_MODELS", layout.models())
        .env("MLXENGINE_TEST_REQUIRE", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        command
            .get_args()
            .map(|a| a.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn either_runner_runs_the_whole_workspace_and_requires_the_models() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::at(root.path()).unwrap();
        for has_nextest in [true, false] {
            let command = tests(&layout, has_nextest);
            assert_eq!(
                words(&command)[0],
                if has_nextest { "nextest" } else { "test" }
            );
            assert!(words(&command).contains(&"--workspace".into()));
            let variables: Vec<_> = command.get_envs().collect();
            let models = layout.models();
            for expected in [
                ("MLXENGINE_TEST_MODELS", models.as_os_str()),
                ("MLXENGINE_TEST_REQUIRE", "1".as_ref()),
            ] {
                assert!(
                    variables.contains(&(expected.0.as_ref(), Some(expected.1))),
                    "{expected:?}"
                );
            }
        }
    }

    #[test]
    fn the_environments_compiler_flags_do_not_reach_the_tests() {
        let root = tempfile::tempdir().unwrap();
        let command = documentation_tests(&Layout::at(root.path()).unwrap());
        let removed: Vec<_> = command.get_envs().filter(|(_, v)| v.is_none()).collect();
        assert!(
            removed.contains(&("RUSTFLAGS".as_ref(), None)),
            "{removed:?}"
        );
    }
}
