//! The real model, where it is there, on the processor.
//!
//! `MLXENGINE_TEST_MODELS` names the folder of models. Without it these tests say that they are
//! skipped; with `MLXENGINE_TEST_REQUIRE=1` they fail instead.

use std::{env, path::PathBuf};

use serde_json::Value;

use crate::command::{finished, mlxengine};

pub(crate) const FOLDER: &str = "SmolLM2-135M-Instruct-MLX-4bit";
pub(crate) const GGUF: &str = "SmolLM2-135M-Instruct-Q4_1.gguf";
/// Without its second sentence "The" and "L" are nearly as likely to begin the model's answer, and
/// rounding decides.
const QUESTION: &str = "What is the capital of France? Answer in one sentence.";

/// The model's path, or `None` with a word about why it is skipped.
pub(crate) fn model_or_skip(name: &str) -> Option<PathBuf> {
    match model(name) {
        Ok(path) => Some(path),
        Err(reason) => {
            assert!(
                env::var_os("MLXENGINE_TEST_REQUIRE").is_none_or(|value| value != "1"),
                "required, but {reason}"
            );
            println!("skipped: {reason}");
            None
        }
    }
}

/// The model, or the reason to skip.
fn model(name: &str) -> Result<PathBuf, String> {
    let Some(models) = env::var_os("MLXENGINE_TEST_MODELS") else {
        return Err("MLXENGINE_TEST_MODELS is not set".to_owned());
    };
    let path = PathBuf::from(models).join(name);
    if !path.exists() {
        return Err(format!("there is no {}", path.display()));
    }
    Ok(path)
}

/// The greedy answer to the question on the processor; `None` if it is skipped.
fn answer(name: &str, more: &[&str]) -> Option<Value> {
    let path = model_or_skip(name)?;
    let mut command = mlxengine(&["generate", "--json", "--temperature", "0"]);
    command
        .args(["--max-tokens", "16", "--device", "cpu"])
        .args(more)
        .arg("--model")
        .arg(path)
        .arg(QUESTION);
    Some(finished(command).json())
}

#[test]
fn a_real_model_knows_the_capital_of_france() {
    let Some(report) = answer(FOLDER, &[]) else {
        return;
    };
    assert!(
        report["text"].as_str().unwrap().contains("Paris"),
        "{report}"
    );
    assert_eq!(report["simulated"], Value::Bool(false));
    assert_eq!(report["backend"], "cpu");
    let tokens = report["prompt_tokens"].as_array().unwrap();
    assert_eq!(report["usage"]["prompt_tokens"], tokens.len());
}

#[test]
fn the_gguf_file_and_the_folder_answer_alike() {
    let (Some(folder), Some(gguf)) = (answer(FOLDER, &[]), answer(GGUF, &[])) else {
        return;
    };
    for key in ["prompt", "prompt_tokens", "tokens", "text"] {
        assert_eq!(folder[key], gguf[key], "{key}");
    }
}

#[test]
fn threads_and_the_type_of_the_cache_can_be_chosen() {
    for more in [&["--threads", "1"][..], &["--kv-type", "q8"]] {
        let Some(report) = answer(GGUF, more) else {
            return;
        };
        let text = report["text"].as_str().unwrap();
        assert!(text.contains("Paris"), "{more:?}: {report}");
    }
}
