//! Greedy answers of the real model against those of mlx-lm: `tests/parity/expected.json`, which
//! `cargo xtask parity --write` made.

use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    command::{finished, mlxengine},
    real_model::{FOLDER, GGUF, model_or_skip},
};

#[derive(Deserialize)]
struct Prompt {
    name: String,
    text: Option<String>,
    messages: Option<Value>,
}

#[derive(Deserialize)]
struct Expected {
    max_tokens: usize,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    name: String,
    /// The prompt as `transformers` renders it.
    rendered: String,
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    finish: String,
}

/// Every prompt with the answer that is expected, and the most tokens that an answer has.
fn expected() -> (Vec<(Prompt, Answer)>, usize) {
    let prompts = include_str!("../../../../tests/parity/prompts.json");
    let expected = include_str!("../../../../tests/parity/expected.json");
    let prompts: Vec<Prompt> = serde_json::from_str(prompts).unwrap();
    let expected: Expected = serde_json::from_str(expected).unwrap();
    assert_eq!(prompts.len(), 8);
    assert_eq!(expected.answers.len(), 8);
    let pairs = prompts.into_iter().zip(expected.answers).collect();
    (pairs, expected.max_tokens)
}

/// Asks for the first `max_tokens` tokens, and compares all that is known of them.
fn check(model: &str, max_tokens: usize) {
    let Some(path) = model_or_skip(model) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (pairs, most) = expected();
    for (prompt, answer) in pairs {
        let name = &answer.name;
        assert_eq!(&prompt.name, name);
        let mut command = mlxengine(&["generate", "--json", "--temperature", "0"]);
        command.args(["--backend", "mlx", "--device", "cpu", "--compute", "f32"]);
        command.args(["--max-tokens", &max_tokens.to_string(), "--model"]);
        command.arg(&path);
        if let Some(messages) = &prompt.messages {
            let file = folder.path().join(format!("{name}.json"));
            fs::write(&file, messages.to_string()).unwrap();
            command.arg("--messages").arg(&file);
        } else {
            command.args(["--raw", prompt.text.as_deref().unwrap()]);
        }
        let report = finished(command).json();
        assert_eq!(report["prompt"], answer.rendered.as_str(), "{name}");
        assert_eq!(
            report["prompt_tokens"],
            Value::from(answer.prompt_ids),
            "{name}"
        );
        let ids = &answer.ids[..answer.ids.len().min(max_tokens)];
        assert_eq!(report["tokens"], Value::from(ids), "{name}");
        let finish = if max_tokens < most && ids.len() == max_tokens {
            "max_tokens"
        } else {
            answer.finish.as_str()
        };
        assert_eq!(report["finish"]["reason"], finish, "{name}");
    }
}

#[test]
fn the_folder_answers_as_mlx_lm_does() {
    check(FOLDER, 64);
}

#[test]
fn the_gguf_file_answers_as_mlx_lm_does() {
    check(GGUF, 12);
}
