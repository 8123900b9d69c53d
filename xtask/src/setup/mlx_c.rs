//! Compiles mlx-c, MLX's C interface, into the archive `libmlxc.a`.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::pins;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::prerequisites::Tools;
use crate::{process, progress};

/// The archive, relative to the MLX folder.
pub(super) const ARCHIVE: &str = "libmlxc.a";

/// Small sources of our own: name and contents.
pub(super) const SHIMS: [(&str, &str); 5] = [
    ("format", include_str!("shims/format")),
    ("format.hpp", include_str!("shims/format.hpp")),
    ("half.h", include_str!("shims/half.h")),
    ("half_bindings.h", include_str!("shims/half_bindings.h")),
    ("clock.cpp", include_str!("shims/clock.cpp")),
];

/// Finds mlx-c's sources inside the `mlx-sys` package, and checks that they fit the pinned MLX.
pub(super) fn sources(metadata: &Metadata) -> Result<PathBuf, Error> {
    let package = metadata.packages.iter().find(|p| p.name == "mlx-sys");
    let found = package.map_or("absent", |p| &p.version);
    let folder = match package {
        Some(package) if found == pins::MLX_SYS => package.folder().join("src").join("mlx-c"),
        _ => {
            return Err(Error::Pin {
                what: "the package mlx-sys",
                found: found.into(),
                pinned: pins::MLX_SYS.into(),
                remedy: "bring xtask/src/setup/pins.rs and the version of mlx-rs together",
            });
        }
    };
    let build_file = folder.join("CMakeLists.txt");
    let text = fs::read_to_string(&build_file).map_err(|e| Error::io("read", &build_file, e))?;
    if text.contains(&format!("GIT_TAG v{})", pins::MLX)) {
        return Ok(folder);
    }
    Err(Error::Pin {
        what: "the MLX that mlx-sys is written for",
        found: "another version".into(),
        pinned: pins::MLX.into(),
        remedy: "bring xtask/src/setup/pins.rs in line with mlx-sys's CMakeLists.txt",
    })
}

/// Writes our own sources into a folder below `work`, and returns it.
pub(super) fn write_shims(work: &Path) -> Result<PathBuf, Error> {
    let folder = work.join("shims");
    fs::create_dir(&folder).map_err(|e| Error::io("create", &folder, e))?;
    for (name, contents) in SHIMS {
        let path = folder.join(name);
        fs::write(&path, contents).map_err(|e| Error::io("write", &path, e))?;
    }
    Ok(folder)
}

/// Compiles everything against the headers in `tree`, and puts the archive there.
pub(super) fn compile(
    tools: &Tools,
    mlx_c: &Path,
    shims: &Path,
    tree: &Path,
    work: &Path,
) -> Result<(), Error> {
    let mut files = cpp_files(&mlx_c.join("mlx").join("c"))?;
    files.push(shims.join("clock.cpp"));
    let objects = work.join("objects");
    fs::create_dir(&objects).map_err(|e| Error::io("create", &objects, e))?;

    let step = progress::count("Compiling mlx-c", files.len() as u64);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Ok(Vec::new()));
    let worker = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let object = compile_one(tools, mlx_c, shims, tree, file, &objects);
            step.advance();
            let Ok(mut done) = done.lock() else { return };
            match (object, done.as_mut()) {
                (Ok(object), Ok(objects)) => objects.push(object),
                (Err(error), Ok(_)) => *done = Err(error),
                (_, Err(_)) => return,
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(worker);
        }
    });
    let mut objects: Vec<PathBuf> = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)?;
    objects.sort();
    let archive = tree.join(ARCHIVE);
    process::run_quietly(
        tools
            .archiver
            .command()
            .arg("crs")
            .arg(archive)
            .args(objects),
    )
    .map(drop)
}

fn compile_one(
    tools: &Tools,
    mlx_c: &Path,
    shims: &Path,
    tree: &Path,
    file: &Path,
    objects: &Path,
) -> Result<PathBuf, Error> {
    let name = file.file_stem().unwrap_or_default();
    let object = objects.join(name).with_extension("o");
    let mut command = tools.compiler.command();
    command
        .args(["-std=c++20", "-O2", "-fPIC", "-w", "-c"])
        .arg("-include")
        .arg(shims.join("format.hpp"))
        .arg("-include")
        .arg(shims.join("half.h"))
        .arg("-I")
        .arg(shims)
        .arg("-I")
        .arg(mlx_c)
        .arg("-I")
        .arg(tree.join("mlx").join("include"))
        .arg("-o")
        .args([&object, file]);
    let finished = process::capture(&mut command)?;
    if finished.success {
        return Ok(object);
    }
    let program = format!("{} {}", tools.compiler.name(), name.to_string_lossy());
    Err(match process::failure(&program, &finished.stderr) {
        Error::Failed { program, detail } => Error::Failed {
            program,
            detail: format!("{detail}; MLX needs GCC 11 or clang 14 or later, which CXX can name"),
        },
        other => other,
    })
}

/// All C++ sources in a folder, in the order of their names.
fn cpp_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |e| Error::io("read the folder", folder, e);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "cpp") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Package, Resolve};

    fn only(packages: Vec<Package>) -> Metadata {
        Metadata {
            packages,
            workspace_members: vec![],
            resolve: Resolve { nodes: vec![] },
        }
    }

    fn metadata(version: &str, build_file: &str) -> (tempfile::TempDir, Metadata) {
        let package = tempfile::tempdir().unwrap();
        let mlx_c = package.path().join("src/mlx-c");
        fs::create_dir_all(&mlx_c).unwrap();
        fs::write(mlx_c.join("CMakeLists.txt"), build_file).unwrap();
        let packages = vec![Package {
            id: "mlx-sys".into(),
            name: "mlx-sys".into(),
            version: version.into(),
            manifest_path: package.path().join("Cargo.toml"),
        }];
        (package, only(packages))
    }

    #[test]
    fn sources_that_fit_the_pins_are_found() {
        let (package, metadata) = metadata(pins::MLX_SYS, "  GIT_TAG v0.32.2)\n");
        assert_eq!(
            sources(&metadata).unwrap(),
            package.path().join("src/mlx-c")
        );
    }

    #[test]
    fn another_version_of_either_is_refused_with_where_to_change_it() {
        for (mlx_sys, tag) in [
            ("0.8.0", "GIT_TAG v0.32.2)"),
            (pins::MLX_SYS, "GIT_TAG v0.33.0)"),
        ] {
            let (_package, metadata) = metadata(mlx_sys, tag);
            let message = sources(&metadata).unwrap_err().to_string();
            assert!(message.contains("xtask/src/setup/pins.rs"), "{message}");
        }
        let message = sources(&only(vec![])).unwrap_err().to_string();
        assert!(message.contains("absent"), "{message}");
    }
}
