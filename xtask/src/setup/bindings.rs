//! The Rust declarations of mlx-c's functions, made from its headers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::Error;
use crate::layout;
use crate::prerequisites::Tools;
use crate::process::{self, Program};
use crate::progress;

/// Where they are, relative to the MLX folder.
pub(super) const FOLDER: &str = "out";
/// The file, relative to the MLX folder.
pub(super) const FILE: &str = "out/bindings.rs";

/// What the generator is built from.
pub(super) const SOURCES: [&str; 2] = [
    include_str!("../../generate-bindings/src/main.rs"),
    include_str!("../../generate-bindings/Cargo.lock"),
];

/// The generator, being built; stopped if it is dropped before.
#[derive(Debug)]
pub(super) struct Generator {
    cargo: Child,
    log: PathBuf,
    program: PathBuf,
}

impl Generator {
    /// Starts building the generator below `work`.
    ///
    /// It is a package of its own, since nothing else needs bindgen, and its
    /// build folder goes when the set-up ends.
    pub(super) fn start(root: &Path, work: &Path) -> Result<Self, Error> {
        let log = work.join("generate-bindings.log");
        let log_file = File::create(&log).map_err(|e| Error::io("create", &log, e))?;
        let target = work.join("generate-bindings");
        let cargo = process::cargo()
            .args(["build", "--quiet", "--locked", "--manifest-path"])
            .arg(root.join("xtask/generate-bindings/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .stdin(Stdio::null())
            .stderr(log_file)
            .spawn()
            .map_err(|e| Error::io("run Cargo in", root, e))?;
        Ok(Self {
            cargo,
            log,
            program: target.join("debug").join("generate-bindings"),
        })
    }

    /// Waits until it is built, runs it, and puts the declarations into `tree`.
    pub(super) fn finish(
        mut self,
        tools: &Tools,
        mlx_c: &Path,
        shims: &Path,
        libclang: &Path,
        tree: &Path,
    ) -> Result<(), Error> {
        let _step = progress::spinner("Making the Rust bindings");
        let status = self
            .cargo
            .wait()
            .map_err(|e| Error::io("wait for", &self.program, e))?;
        if !status.success() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            return Err(process::failure("cargo build of generate-bindings", &log));
        }
        let out = tree.join(FOLDER);
        fs::create_dir(&out).map_err(|e| Error::io("create", &out, e))?;
        let mut command = Command::new(&self.program);
        command
            .arg(mlx_c)
            .arg(tree.join(FILE))
            .arg("-include")
            .arg(shims.join("half_bindings.h"))
            .env("LIBCLANG_PATH", folder_of_libclang(libclang)?);
        // libclang comes without the headers that belong to a compiler, such
        // as stddef.h; the C++ compiler's own will do.
        if let Some(folder) = compiler_headers(&tools.compiler) {
            command.arg("-isystem").arg(folder);
        }
        process::run_quietly(&mut command).map(drop)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // Already ended unless the set-up failed: nothing else to do about an error here.
        let _ = self.cargo.kill();
        let _ = self.cargo.wait();
    }
}

fn compiler_headers(compiler: &Program) -> Option<PathBuf> {
    let answer = process::run_quietly(compiler.command().arg("-print-file-name=include")).ok()?;
    let folder = PathBuf::from(answer.trim());
    folder.join("stddef.h").is_file().then_some(folder)
}

/// Finds the folder with `libclang.so` in an unpacked wheel.
fn folder_of_libclang(wheel: &Path) -> Result<PathBuf, Error> {
    let file = layout::files_below(wheel)?
        .into_iter()
        .find(|path| path.ends_with("libclang.so"));
    if let Some(folder) = file.as_deref().and_then(Path::parent) {
        return Ok(folder.to_owned());
    }
    Err(Error::Failed {
        program: "pip download libclang".into(),
        detail: "the wheel holds no libclang.so".into(),
    })
}
