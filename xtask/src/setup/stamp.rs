//! Whether a finished MLX folder is the one that today's recipe would make.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::target::{Flavour, Target};
use super::{bindings, mlx_c, pins};
use crate::digest;
use crate::error::Error;
use crate::layout;
use crate::python::Wheel;

/// Goes up when the steps change in a way that their inputs don't show.
const RECIPE: u32 = 1;

const STAMP: &str = "stamp.json";

/// What a finished folder must hold, relative to it.
const PRODUCTS: [&str; 3] = ["mlx/lib/libmlx.so", mlx_c::ARCHIVE, bindings::FILE];

/// All inputs of one set-up.
#[derive(Debug)]
pub(super) struct Recipe {
    flavour: Flavour,
    target: Target,
}

#[derive(Serialize)]
struct Stamp {
    recipe: u32,
    target: &'static str,
    mlx: &'static str,
    wheels: Vec<&'static str>,
    mlx_sys: &'static str,
    libclang: &'static str,
    sources: String,
}

impl Recipe {
    pub(super) fn new(flavour: Flavour, target: Target) -> Self {
        Self { flavour, target }
    }

    pub(super) fn folder_name(&self) -> String {
        format!("{}-{}", pins::MLX, self.flavour)
    }

    pub(super) fn description(&self) -> String {
        let on = match self.flavour {
            Flavour::Cpu => "for CPUs".to_owned(),
            cuda @ Flavour::Cuda(_) => format!("with {cuda}"),
        };
        format!("MLX {} {on}, {}", pins::MLX, self.target.triple())
    }

    pub(super) fn wheels(&self) -> Vec<Wheel> {
        pins::wheels(self.flavour, self.target)
    }

    pub(super) fn libclang(&self) -> Wheel {
        pins::libclang(self.target)
    }

    fn stamp(&self) -> String {
        let stamp = Stamp {
            recipe: RECIPE,
            target: self.target.triple(),
            mlx: pins::MLX,
            wheels: self.wheels().iter().map(|wheel| wheel.sha256).collect(),
            mlx_sys: pins::MLX_SYS,
            libclang: self.libclang().sha256,
            sources: digest::of_texts(mlx_c::SHIMS.iter().map(|s| s.1).chain(bindings::SOURCES)),
        };
        // A struct of numbers and strings always has a JSON form.
        serde_json::to_string_pretty(&stamp).unwrap_or_default()
    }

    /// Whether `place` was made by this recipe and still holds what it made.
    pub(super) fn is_finished_in(&self, place: &Path) -> bool {
        fs::read_to_string(place.join(STAMP)).is_ok_and(|stamp| stamp == self.stamp())
            && PRODUCTS.iter().all(|product| place.join(product).is_file())
    }

    /// Writes the stamp, as the last file of a finished folder.
    pub(super) fn mark_finished(&self, tree: &Path) -> Result<(), Error> {
        layout::write_whole(&tree.join(STAMP), &self.stamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::target::Cuda;

    const RECIPE: Recipe = Recipe {
        flavour: Flavour::Cpu,
        target: Target::X86_64,
    };

    fn finished() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for product in PRODUCTS {
            let path = place.path().join(product);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        RECIPE.mark_finished(place.path()).unwrap();
        place
    }

    #[test]
    fn a_marked_folder_with_all_products_is_finished() {
        assert!(RECIPE.is_finished_in(finished().path()));
    }

    #[test]
    fn a_missing_product_or_stamp_means_unfinished() {
        for missing in PRODUCTS.into_iter().chain([STAMP]) {
            let place = finished();
            fs::remove_file(place.path().join(missing)).unwrap();
            assert!(!RECIPE.is_finished_in(place.path()), "{missing}");
        }
    }

    #[test]
    fn another_flavour_or_machine_has_another_stamp() {
        let place = finished();
        let cuda = Recipe::new(Flavour::Cuda(Cuda::V12), Target::X86_64);
        let arm = Recipe::new(Flavour::Cpu, Target::Aarch64);
        assert!(!cuda.is_finished_in(place.path()));
        assert!(!arm.is_finished_in(place.path()));
    }
}
