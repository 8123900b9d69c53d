//! `cargo xtask pack`: a folder that runs on a machine without Rust, registries or this workspace.
//!
//! For GPUs that can only be reached that way. It holds the programs, the MLX that they are linked
//! with, and the script that compares them with mlx-lm. NVIDIA's own libraries are not in it: they
//! are large, and a machine with CUDA for Python has them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bench::mlx::SCRIPT;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::progress::say;
use crate::setup;

/// Options of `cargo xtask pack`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder to make; it must not be there yet.
    folder: PathBuf,
}

/// Where the programs look for MLX, from where they are.
const RUN_PATH: &str = "-Clink-arg=-Wl,-rpath,$ORIGIN/../site/mlx/lib";

/// What MLX compiles its kernels with as it runs.
const KERNEL_HEADERS: [&str; 3] = ["cccl", "cute", "cutlass"];

const HOW_TO: &str = "\
This folder runs on Linux x86-64 with an NVIDIA driver and Python 3 with CUDA 13's packages.

1. Link NVIDIA's Python packages to where MLX looks for them:
       ln -s \"$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])')\" site/nvidia
2. Check a device with a model (a folder in MLX's format):
       bin/device_check MODEL_FOLDER cuda
3. With mlx-lm 0.32.2 and the Python part of MLX 0.32.2 unpacked into site/, compare:
       PYTHONPATH=site python3 compare.py --parity bin/measure MODEL_FOLDER cuda expected.json
       PYTHONPATH=site python3 compare.py bin/measure MODELS cuda llama-3.2-1b 4bit,bf16 2

MLX compiles kernels at their first use, which takes it a minute or more for quantized matrices,
and keeps them where MLX_PTX_CACHE_DIR says.
";

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    setup::ensure(layout)?;
    let folder = &arguments.folder;
    if folder.exists() {
        return Err(Error::Failed {
            program: "cargo xtask pack".to_owned(),
            detail: format!("{} is there already; choose another name", folder.display()),
        });
    }
    let flags = [RUN_PATH];
    let programs = [
        setup::build_example(layout, "engine-mlx", "measure", &flags)?,
        setup::build_example(layout, "engine-mlx", "device_check", &flags)?,
    ];
    for program in &programs {
        let name = program.file_name().unwrap_or_default();
        copy(program, &folder.join("bin").join(name))?;
    }
    let mlx = setup::folder_in_use(layout)?;
    let site = folder.join("site");
    copy(
        &mlx.join("mlx/lib/libmlx.so"),
        &site.join("mlx/lib/libmlx.so"),
    )?;
    for entry in entries(&mlx)? {
        if entry
            .extension()
            .is_some_and(|extension| extension == "libs")
        {
            let name = entry.file_name().unwrap_or_default();
            copy_folder(&entry, &site.join(name))?;
        }
    }
    for headers in KERNEL_HEADERS {
        let from = mlx.join("mlx/include").join(headers);
        if from.is_dir() {
            copy_folder(&from, &site.join("mlx/include").join(headers))?;
        }
    }
    copy(&layout.root().join(SCRIPT), &folder.join("compare.py"))?;
    copy(
        &layout.root().join("tests/parity/expected.json"),
        &folder.join("expected.json"),
    )?;
    layout::write_whole(&folder.join("README.txt"), HOW_TO)?;
    say(&format!("Packed into {}", folder.display()));
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |e| Error::io("read the folder", folder, e);
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in entries(from)? {
        let target = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            copy_folder(&entry, &target)?;
        } else {
            copy(&entry, &target)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    }
    fs::copy(from, to)
        .map(drop)
        .map_err(|e| Error::io("copy to", to, e))
}
