//! `cargo xtask setup`: brings MLX to this machine.
//!
//! On Linux, MLX's own build for Python holds the library and its headers.
//! What `mlx-rs` needs beside it (the C interface `libmlxc.a` and the Rust
//! declarations of its functions) is built here from the sources inside the
//! `mlx-sys` package, and a Cargo configuration then says where all this lies,
//! in place of `mlx-sys`'s build script. That script is for Apple's systems,
//! where it works and nothing has to be set up.
//!
//! Everything is made in a temporary folder and moved to its place at the end,
//! and the configuration that switches MLX on is written last: an interrupted
//! set-up changes nothing.

mod apple;
mod bindings;
mod config;
mod mlx_c;
mod pins;
mod stamp;
mod target;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::layout::{self, Layout, Workshop};
use crate::prerequisites::Tools;
use crate::progress::say;
use crate::python::Wheel;
use crate::{metadata, process};

use target::{Cuda, Flavour, Target};

/// Options of `cargo xtask setup`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Take MLX for NVIDIA GPUs with this version of CUDA, instead of for CPUs only.
    #[arg(long, value_name = "VERSION")]
    cuda: Option<Cuda>,
    /// Build everything anew, even if it is there.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    let flavour = arguments.cuda.map_or(Flavour::Cpu, Flavour::Cuda);
    bring(layout, flavour, arguments.force)
}

/// Makes sure that some MLX is set up: the one in use, else the one for CPUs.
pub(crate) fn ensure(layout: &Layout) -> Result<(), Error> {
    let flavour = config::flavour_in_use(layout).unwrap_or(Flavour::Cpu);
    bring(layout, flavour, false)
}

fn bring(layout: &Layout, flavour: Flavour, force: bool) -> Result<(), Error> {
    if cfg!(target_vendor = "apple") {
        return apple::check();
    }
    let target = Target::of_this_machine()?;
    let recipe = stamp::Recipe::new(flavour, target);
    let place = layout.mlx(&recipe.folder_name());
    let there = !force && recipe.is_finished_in(&place);
    if there && config::is_current(layout, target, &place)? {
        say(&format!("MLX is already set up: {}", recipe.description()));
    } else {
        let workshop = layout.lock()?;
        // Another run may have finished while this one waited for the lock.
        if force || !recipe.is_finished_in(&place) {
            build(layout, &workshop, &recipe, &place)?;
        }
        config::write(layout, target, &place)?;
        say(&format!("MLX is set up: {}", recipe.description()));
    }
    warn_about_flags();
    Ok(())
}

fn build(
    layout: &Layout,
    workshop: &Workshop,
    recipe: &stamp::Recipe,
    place: &Path,
) -> Result<(), Error> {
    let unfinished = workshop.unfinished()?;
    let work = unfinished.path();
    let tools = Tools::find(work)?;
    let mlx_c = mlx_c::sources(&metadata::read(layout.root())?)?;
    // Slow and independent of the rest, so it runs beside it.
    let generator = bindings::Generator::start(layout.root(), work)?;

    let tree = work.join("mlx");
    for wheel in recipe.wheels() {
        unpack(&tools, &wheel, &tree, work)?;
    }
    let libclang = work.join("libclang");
    unpack(&tools, &recipe.libclang(), &libclang, work)?;

    let shims = mlx_c::write_shims(work)?;
    mlx_c::compile(&tools, &mlx_c, &shims, &tree, work)?;
    generator.finish(&tools, &mlx_c, &shims, &libclang, &tree)?;
    recipe.mark_finished(&tree)?;
    layout::put_in_place(&tree, place)
}

/// Downloads a wheel and puts what it holds into `folder`.
fn unpack(tools: &Tools, wheel: &Wheel, folder: &Path, work: &Path) -> Result<(), Error> {
    let file = tools.python.download(wheel, work)?;
    tools.python.unpack(&file, folder)?;
    // CUDA's libraries are large: not kept twice.
    fs::remove_file(&file).map_err(|e| Error::io("remove", &file, e))
}

/// The folder of the MLX in use.
pub(crate) fn folder_in_use(layout: &Layout) -> Result<PathBuf, Error> {
    let target = Target::of_this_machine()?;
    let flavour = config::flavour_in_use(layout).unwrap_or(Flavour::Cpu);
    Ok(layout.mlx(&stamp::Recipe::new(flavour, target).folder_name()))
}

/// Builds an example of a crate with MLX, as fast as it can be, and says where it is. The flags are
/// for the compiler, beside those of the configuration.
pub(crate) fn build_example(
    layout: &Layout,
    package: &str,
    example: &str,
    flags: &[&str],
) -> Result<PathBuf, Error> {
    let _step = crate::progress::spinner(&format!("Building {example}"));
    let mut command = cargo_with_mlx();
    command.current_dir(layout.root());
    if !flags.is_empty() {
        let target = Target::of_this_machine()?;
        let flags = serde_json::Value::from(flags.to_vec());
        command.args([
            "--config",
            &format!("target.{}.rustflags = {flags}", target.triple()),
        ]);
    }
    command
        .args([
            "build",
            "--release",
            "--package",
            package,
            "--example",
            example,
        ])
        .arg("--message-format=json");
    let printed = process::run_quietly(&mut command)?;
    process::built_executable(&printed)
}

/// The variables with which the environment replaces Cargo's configured flags.
const FLAG_VARIABLES: [&str; 4] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTDOCFLAGS",
];

/// Cargo, for a build that must have MLX: without what would switch it off.
pub(crate) fn cargo_with_mlx() -> Command {
    let mut cargo = process::cargo();
    for name in FLAG_VARIABLES {
        cargo.env_remove(name);
    }
    cargo
}

/// Says so if the environment keeps the generated configuration from having an effect.
fn warn_about_flags() {
    for name in FLAG_VARIABLES {
        if std::env::var_os(name).is_some() {
            say(&format!(
                "warning: {name} is set, and with it Cargo ignores the flags that switch MLX on: \
                 your own builds do without MLX, or documentation tests fail, until you unset it \
                 (`cargo xtask test` and `cargo xtask demo` do so for themselves)"
            ));
        }
    }
}
