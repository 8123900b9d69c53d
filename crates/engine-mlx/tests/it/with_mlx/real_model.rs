//! A real model, if `MLXENGINE_TEST_MODELS` names the folder that `cargo xtask model` filled.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use engine_conformance::{EngineSuite, ModelSuite, Tolerance};
use engine_core::{ComputeType, Model, Progress};
use engine_mlx::{MlxBackend, MlxModel};

use super::{
    mlx_process::beside_others,
    tiny::{greedy_on_host, on_cpu},
};

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

fn load(path: &Path) -> MlxModel {
    MlxModel::load(&on_cpu(path), &Progress::silent()).unwrap()
}

/// "The capital of France is", by SmolLM2's tokenizer.
const PROMPT: [u32; 5] = [504, 3575, 282, 4649, 314];

#[test]
fn a_gguf_file_is_the_same_model_as_its_folder() {
    let _process = beside_others();
    let (Some(folder), Some(gguf)) = (model(FOLDER), model(GGUF)) else {
        return;
    };
    let answers = [folder, gguf].map(|path| {
        let mut model = load(&path);
        assert_eq!(model.info().compute, ComputeType::F32);
        greedy_on_host(&mut model, &PROMPT, 16)
    });
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn the_real_model_conforms() {
    let _process = beside_others();
    let Some(path) = model(FOLDER) else { return };
    let mut request = on_cpu(&path);
    request.options.context_length = Some(96);
    ModelSuite::new(move || {
        let model = MlxModel::load(&request, &Progress::silent())?;
        Ok(Box::new(model) as Box<dyn Model>)
    })
    .with_tolerance(Tolerance {
        absolute: 1e-4,
        relative: 1e-4,
    })
    .with_operations(12)
    .with_deadline(Duration::from_mins(10))
    .run()
    .assert_passed(50);
}

#[test]
fn its_engine_conforms_where_a_real_model_matters() {
    let _process = beside_others();
    let Some(path) = model(FOLDER) else { return };
    let report = EngineSuite::of_backend(Arc::new(MlxBackend::new()), on_cpu(&path))
        .with_answer_tokens(8)
        .with_deadline(Duration::from_mins(10))
        .only(&[
            "tokens_turn_back_into_their_text",
            "a_chat_is_answered_as_its_rendered_text",
            "rendering_repeats_and_holds_every_message",
            "joined_text_is_the_decoded_tokens",
            "no_delta_splits_a_character",
            "nothing_of_a_stop_string_leaks",
        ])
        .run();
    report.assert_passed(6);
}
