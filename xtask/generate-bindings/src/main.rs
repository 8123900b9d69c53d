//! `generate-bindings MLX_C OUTPUT [CLANG_ARGUMENT]...` writes the Rust
//! declarations of all that the headers in `MLX_C/mlx/c` declare, with the same
//! settings as the build script of `mlx-sys`, which reads them.
//!
//! libclang is loaded at run time from `LIBCLANG_PATH`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use bindgen::{Builder, Formatter};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let (Some(mlx_c), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generate-bindings MLX_C OUTPUT [CLANG_ARGUMENT]...".into());
    };
    let clang_arguments = arguments.map(|a| a.to_string_lossy().into_owned());
    let mlx_c = Path::new(&mlx_c);

    // The C standard library's own declarations of these two clash with
    // rustc's, and nothing needs them.
    let builder = Builder::default()
        .rust_target("1.73.0".parse()?)
        .formatter(Formatter::None)
        .clang_arg(format!("-I{}", mlx_c.display()))
        .clang_args(clang_arguments)
        .blocklist_function("malloc")
        .blocklist_function("realloc");
    headers(mlx_c)?
        .into_iter()
        .fold(builder, |builder, header| {
            builder.header(header.to_string_lossy())
        })
        .generate()?
        .write_to_file(output)?;
    Ok(())
}

fn headers(mlx_c: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut headers = Vec::new();
    for entry in fs::read_dir(mlx_c.join("mlx").join("c"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "h") {
            headers.push(path);
        }
    }
    headers.sort();
    Ok(headers)
}
