//! The independent oracle: mlx-lm, pinned whole, in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::Packages;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::process;
use crate::progress;

const MLX_LM: Packages = Packages {
    name: "mlx-lm",
    requirements: include_str!("../python/mlx-lm.txt"),
};

/// A Python that can import `mlx_lm`.
#[derive(Debug)]
pub(crate) struct Oracle {
    python: PathBuf,
}

impl Oracle {
    /// Creates the virtual environment, or finds the one that an earlier run completed.
    pub(crate) fn set_up(layout: &Layout) -> Result<Self, Error> {
        let python = MLX_LM.set_up(layout)?;
        Ok(Self { python })
    }

    /// Python, away from any model hub.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .env("HF_HUB_OFFLINE", "1")
            .env("TRANSFORMERS_VERBOSITY", "error")
            .env("TOKENIZERS_PARALLELISM", "false");
        command
    }

    /// Runs one of this workspace's scripts, given as its text, and returns what it prints.
    pub(crate) fn run(&self, script: &str, arguments: &[&Path]) -> Result<String, Error> {
        process::run_quietly(self.command().args(["-c", script]).args(arguments))
    }

    /// A copy of an MLX-format folder with every half-precision tensor widened to f32.
    pub(crate) fn widened(&self, layout: &Layout, folder: &Path) -> Result<PathBuf, Error> {
        let mut name = folder.file_name().unwrap_or_default().to_owned();
        name.push("-f32");
        let wide = folder.with_file_name(name);
        if wide.exists() {
            return Ok(wide);
        }
        let _step = progress::spinner("Widening the model to f32");
        let workshop = layout.lock()?;
        let unfinished = workshop.unfinished()?;
        let target = unfinished.path().join("model");
        self.run(include_str!("../python/to_f32.py"), &[folder, &target])?;
        layout::put_in_place(&target, &wide)?;
        Ok(wide)
    }
}
