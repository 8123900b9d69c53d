//! A real model, if `MLXENGINE_TEST_MODELS` names the folder that `cargo xtask model` filled.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use engine_conformance::{EngineSuite, ModelSuite};
use engine_core::{Model, Progress};
use engine_cpu::{CpuBackend, CpuModel};

use super::tiny::{greedy, load, with_threads};

const FOLDER: &str = "SmolLM2-135M-Instruct-MLX-4bit";
const GGUF: &str = "SmolLM2-135M-Instruct-Q4_1.gguf";

/// The model's path; `None`, with a word why, where there is none.
fn model(name: &str) -> Option<PathBuf> {
    let path = env::var_os("MLXENGINE_TEST_MODELS").map(|models| Path::new(&models).join(name));
    match path {
        Some(path) if path.exists() => Some(path),
        _ => {
            assert!(
                env::var_os("MLXENGINE_TEST_REQUIRE").is_none_or(|required| required != "1"),
                "MLXENGINE_TEST_MODELS names no folder with {name}"
            );
            eprintln!("skipped: MLXENGINE_TEST_MODELS names no folder with {name}");
            None
        }
    }
}

/// "The capital of France is", by SmolLM2's tokenizer.
const PROMPT: [u32; 5] = [504, 3575, 282, 4649, 314];
/// " Paris"
const PARIS: u32 = 7042;

#[test]
fn a_gguf_file_is_the_same_model_as_its_folder_and_knows_the_capital() {
    let (Some(folder), Some(gguf)) = (model(FOLDER), model(GGUF)) else {
        return;
    };
    let answers = [folder, gguf].map(|path| greedy(&mut load(&path), &PROMPT, 16));
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][0], PARIS);
}

#[test]
fn the_real_model_conforms_bit_for_bit() {
    let Some(path) = model(FOLDER) else { return };
    let mut request = with_threads(&path, 2);
    request.options.context_length = Some(96);
    ModelSuite::new(move || {
        let model = CpuModel::load(&request, &Progress::silent())?;
        Ok(Box::new(model) as Box<dyn Model>)
    })
    .run()
    .assert_passed(45);
}

#[test]
fn its_engine_conforms() {
    let Some(path) = model(GGUF) else { return };
    EngineSuite::of_backend(Arc::new(CpuBackend::new()), with_threads(&path, 2))
        .with_deadline(Duration::from_mins(10))
        .run()
        .assert_passed(86);
}
