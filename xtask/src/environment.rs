//! Virtual environments of Python, each with packages pinned whole.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::layout::{self, Layout};
use crate::process;
use crate::progress;
use crate::python::Python;

/// A set of Python packages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packages {
    /// What it is called, also the name of its folder.
    pub(crate) name: &'static str,
    /// The text of its requirements file.
    pub(crate) requirements: &'static str,
}

/// Python's client of the Hub.
pub(crate) const HUGGINGFACE_HUB: Packages = Packages {
    name: "huggingface-hub",
    requirements: include_str!("../python/huggingface-hub.txt"),
};

impl Packages {
    /// Creates the virtual environment, or finds the one that an earlier run completed; returns its Python.
    pub(crate) fn set_up(self, layout: &Layout) -> Result<PathBuf, Error> {
        let folder = layout.generated().join("python").join(self.name);
        let stamp = folder.join("requirements.txt");
        let python = folder.join("bin").join("python");
        let workshop = layout.lock()?;
        let is_done = fs::read_to_string(&stamp).is_ok_and(|done| done == self.requirements);
        if is_done && python.is_file() {
            return Ok(python);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| Error::io("remove", &folder, e))?;
        }
        let _step = progress::spinner(&format!(
            "Installing {} in a virtual environment",
            self.name
        ));
        let unfinished = workshop.unfinished()?;
        let system = Python::find(unfinished.path()).ok_or_else(|| Error::Missing {
            what: "Python with pip".to_owned(),
            remedy: "install python3 and python3-venv, then run the command again".to_owned(),
        })?;
        process::run_quietly(system.command().args(["-m", "venv"]).arg(&folder))?;
        let list = unfinished.path().join("requirements.txt");
        layout::write_whole(&list, self.requirements)?;
        process::run_quietly(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--no-deps"])
                .arg("--disable-pip-version-check")
                .arg("--requirement")
                .arg(&list),
        )?;
        // Written last: without it the folder counts as unfinished.
        layout::write_whole(&stamp, self.requirements)?;
        Ok(python)
    }
}
