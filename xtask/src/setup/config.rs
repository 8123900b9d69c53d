//! The generated Cargo configuration: its presence is what switches MLX on.
//!
//! `.cargo/config.toml` includes it if it is there. It holds a build-script
//! override for the package that links `mlx`, the `mlx_runtime` condition under
//! which `engine-mlx` depends on `mlx-rs`, and where programs find the library
//! when they run; the last two also for the tests in documentation.

use std::fs;
use std::path::Path;

use super::target::{Flavour, Target};
use super::{bindings, stamp};
use crate::error::Error;
use crate::layout::{self, Layout};

/// Writes the configuration for the finished MLX folder at `place`.
pub(super) fn write(layout: &Layout, target: Target, place: &Path) -> Result<(), Error> {
    layout::write_whole(&layout.cargo_config(), &text(target, place)?)
}

/// Whether the configuration is the one that [`write()`] would write.
pub(super) fn is_current(layout: &Layout, target: Target, place: &Path) -> Result<bool, Error> {
    let text = text(target, place)?;
    Ok(fs::read_to_string(layout.cargo_config()).is_ok_and(|there| there == text))
}

/// The flavour of the MLX that the configuration points to.
pub(super) fn flavour_in_use(layout: &Layout) -> Option<Flavour> {
    let target = Target::of_this_machine().ok()?;
    Flavour::ALL.into_iter().find(|flavour| {
        let place = layout.mlx(&stamp::Recipe::new(*flavour, target).folder_name());
        is_current(layout, target, &place).unwrap_or(false)
    })
}

fn text(target: Target, place: &Path) -> Result<String, Error> {
    let triple = target.triple();
    let path = |relative: &str| {
        let path = place.join(relative);
        match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Error::NotUnicode { path }),
        }
    };
    let library = path("mlx/lib")?;
    let flags = [
        "--cfg",
        "mlx_runtime",
        // One word each, as a comma in the path would end a `-Wl,` option.
        "-Clink-arg=-Xlinker",
        "-Clink-arg=-rpath",
        "-Clink-arg=-Xlinker",
        &format!("-Clink-arg={library}"),
    ]
    .map(quoted)
    .join(", ");
    let search = [format!("native={}", path("")?), format!("native={library}")];
    let search = search.map(|s| quoted(&s)).join(", ");
    let out = quoted(&path(bindings::FOLDER)?);
    Ok(format!(
        "# Written by `cargo xtask setup`. Without this file everything builds without MLX.\n\
         [target.{triple}]\n\
         rustflags = [{flags}]\n\
         rustdocflags = [{flags}]\n\
         \n\
         [target.{triple}.mlx]\n\
         rustc-link-search = [{search}]\n\
         rustc-link-lib = [\"static=mlxc\", \"dylib=mlx\", \"dylib=stdc++\"]\n\
         rustc-env = {{ OUT_DIR = {out} }}\n"
    ))
}

/// A TOML basic string. JSON's strings are written the same way.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::target::Cuda;

    #[test]
    fn says_where_everything_is_for_code_and_for_documentation_tests() {
        let text = text(Target::Aarch64, Path::new("/a b/mlx")).unwrap();
        assert!(
            text.contains("[target.aarch64-unknown-linux-gnu.mlx]"),
            "{text}"
        );
        assert!(text.contains(r#"OUT_DIR = "/a b/mlx/out""#), "{text}");
        let rpath = r#""--cfg", "mlx_runtime", "-Clink-arg=-Xlinker", "-Clink-arg=-rpath", "-Clink-arg=-Xlinker", "-Clink-arg=/a b/mlx/mlx/lib""#;
        assert!(text.contains(&format!("\nrustflags = [{rpath}]")), "{text}");
        assert!(
            text.contains(&format!("\nrustdocflags = [{rpath}]")),
            "{text}"
        );
    }

    #[test]
    fn quotes_and_backslashes_in_a_path_are_escaped() {
        let text = text(Target::X86_64, Path::new(r#"/a"b\c"#)).unwrap();
        assert!(text.contains(r#"OUT_DIR = "/a\"b\\c/out""#), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_unicode_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/\xff"));
        let message = text(Target::X86_64, path).unwrap_err().to_string();
        assert!(message.contains("Unicode"), "{message}");
    }

    #[test]
    fn is_current_only_for_the_place_it_was_written_for() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::at(root.path()).unwrap();
        let place = layout.mlx("one");
        assert!(!is_current(&layout, Target::X86_64, &place).unwrap());
        write(&layout, Target::X86_64, &place).unwrap();
        assert!(is_current(&layout, Target::X86_64, &place).unwrap());
        assert!(!is_current(&layout, Target::X86_64, &layout.mlx("two")).unwrap());
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn the_flavour_in_use_is_read_back_from_the_configuration() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::at(root.path()).unwrap();
        assert_eq!(flavour_in_use(&layout), None);
        let target = Target::of_this_machine().unwrap();
        let flavour = Flavour::Cuda(Cuda::V13);
        let name = stamp::Recipe::new(flavour, target).folder_name();
        write(&layout, target, &layout.mlx(&name)).unwrap();
        assert_eq!(flavour_in_use(&layout), Some(flavour));
    }
}
