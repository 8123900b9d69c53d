//! The independent oracle: mlx-lm, pinned whole, in a virtual environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::layout::{self, Layout};
use crate::process;
use crate::progress;
use crate::python::Python;

const REQUIREMENTS: &str = include_str!("../python/mlx-lm.txt");

/// A Python that can import `mlx_lm`.
#[derive(Debug)]
pub(crate) struct Oracle {
    python: PathBuf,
}

impl Oracle {
    /// Creates the virtual environment, or finds the one that an earlier run completed.
    pub(crate) fn set_up(layout: &Layout) -> Result<Self, Error> {
        let folder = layout.generated().join("python").join("mlx-lm");
        let stamp = folder.join("requirements.txt");
        let python = folder.join("bin").join("python");
        let workshop = layout.lock()?;
        if fs::read_to_string(&stamp).is_ok_and(|done| done == REQUIREMENTS) && python.is_file() {
            return Ok(Self { python });
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| Error::io("remove", &folder, e))?;
        }
        let _step = progress::spinner("Installing mlx-lm in a virtual environment");
        let unfinished = workshop.unfinished()?;
        let system = Python::find(unfinished.path()).ok_or_else(|| Error::Missing {
            what: "Python with pip".to_owned(),
            remedy: "install python3 and python3-venv, then run the command again".to_owned(),
        })?;
        process::run_quietly(system.command().args(["-m", "venv"]).arg(&folder))?;
        let list = unfinished.path().join("requirements.txt");
        layout::write_whole(&list, REQUIREMENTS)?;
        process::run_quietly(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--no-deps"])
                .arg("--disable-pip-version-check")
                .arg("--requirement")
                .arg(&list),
        )?;
        // Written last: without it the folder counts as unfinished.
        layout::write_whole(&stamp, REQUIREMENTS)?;
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
