//! `mlxengine completions`: scripts for shells.

use clap::CommandFactory as _;

use crate::{
    args::{Cli, CompletionsArgs},
    failure::Failure,
    output::Output,
};

/// The program's name, as shells see it.
const PROGRAM: &str = "mlxengine";

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    let mut output = Output::new();
    let Some(folder) = &args.folder else {
        let mut script = Vec::new();
        clap_complete::generate(args.shell, &mut command, PROGRAM, &mut script);
        return output.text(&String::from_utf8_lossy(&script));
    };
    let path = clap_complete::generate_to(args.shell, &mut command, PROGRAM, folder).map_err(
        |source| Failure::Write {
            path: folder.clone(),
            source,
        },
    )?;
    output.text(&format!("{}\n", path.display()))
}
