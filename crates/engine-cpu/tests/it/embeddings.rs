//! Texts as vectors.
//!
//! The oracle: a model whose output head is the identity has its hidden states for logits.

use std::{fs, path::Path, sync::Arc};

use engine_core::{
    Backend, ComputeType, Engine, Error, Field, LoadRequest, Model as _, Pooling, Progress, TokenId,
};
use engine_cpu::{CpuBackend, CpuModel};
use futures_executor::block_on;
use safetensors::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tiny::{Tiny, numbers_as, rows_of, with_threads};

const HIDDEN: usize = 64;

/// A model whose first logits are its hidden states.
fn open_hearted() -> Tiny {
    let mut tiny = Tiny::llama();
    let rows = 288;
    let mut head = vec![0.0; rows * HIDDEN];
    for index in 0..HIDDEN {
        head[index * HIDDEN + index] = 1.0;
    }
    let head = numbers_as(Dtype::F32, &[rows, HIDDEN], &head);
    tiny.tensors.insert("lm_head.weight".to_owned(), head);
    tiny
}

fn request(folder: &Path) -> LoadRequest {
    let mut request = with_threads(folder, 2);
    request.options.compute = ComputeType::F32;
    request
}

fn tokens(len: usize, seed: u32) -> Vec<TokenId> {
    (0..len as u32)
        .map(|index| (index * 37 + seed * 101) % 250)
        .collect()
}

/// The pooled hidden states, from the logits.
fn expected(model: &mut CpuModel, tokens: &[TokenId], pooling: Pooling) -> Vec<f32> {
    let rows = rows_of(model, tokens);
    let state = |row: &Vec<f32>| row[..HIDDEN].to_vec();
    match pooling {
        Pooling::First => state(&rows[0]),
        Pooling::Last => state(&rows[rows.len() - 1]),
        _ => {
            let mut mean = vec![0.0; HIDDEN];
            for row in &rows {
                for (sum, x) in mean.iter_mut().zip(row) {
                    *sum += x / rows.len() as f32;
                }
            }
            mean
        }
    }
}

fn assert_near(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        // The head rounds what it multiplies to fifteen bits.
        assert!(
            (got - expected).abs() < 2e-3,
            "{what}, {index}: {got} for {expected}"
        );
    }
}

#[test]
fn hidden_states_are_pooled_as_asked() {
    let folder = open_hearted().write();
    let mut model = CpuModel::load(&request(folder.path()), &Progress::silent()).unwrap();
    // The longest takes two steps, and the second one shares its first with others.
    let texts = [tokens(1, 1), tokens(5, 2), tokens(300, 3), tokens(17, 4)];
    let texts: Vec<&[TokenId]> = texts.iter().map(Vec::as_slice).collect();
    for pooling in [Pooling::Mean, Pooling::First, Pooling::Last] {
        let together = model.embed(&texts, pooling).unwrap();
        for (text, vector) in texts.iter().zip(&together) {
            let what = format!("{pooling:?} of {} tokens", text.len());
            assert_near(vector, &expected(&mut model, text, pooling), &what);
            assert_eq!(model.embed(&[text], pooling).unwrap()[0], *vector, "{what}");
        }
    }
    assert_eq!(model.memory().sequences, 0);
}

#[test]
fn texts_that_cannot_be_read_are_errors() {
    let folder = open_hearted().write();
    let mut model = CpuModel::load(&request(folder.path()), &Progress::silent()).unwrap();
    let long = tokens(513, 1);
    let mut embed = |tokens: &[TokenId]| model.embed(&[tokens], Pooling::Mean).unwrap_err();
    assert!(matches!(embed(&[]), Error::InvalidParameter { .. }));
    assert!(matches!(
        embed(&[9999]),
        Error::InvalidToken { token: 9999, .. }
    ));
    assert!(matches!(
        embed(&long),
        Error::ContextOverflow {
            prompt_tokens: 513,
            ..
        }
    ));
}

/// The files of sentence-transformers.
fn write_modules(folder: &TempDir, pooling: &str, normalize: bool) {
    let module = |path: &str, kind: &str| json!({ "path": path, "type": format!("sentence_transformers.models.{kind}") });
    let mut modules = vec![module("", "Transformer"), module("1_Pooling", "Pooling")];
    if normalize {
        modules.push(module("2_Normalize", "Normalize"));
    }
    let write = |name: &str, value: &Value| {
        fs::write(folder.path().join(name), value.to_string()).unwrap();
    };
    write("modules.json", &json!(modules));
    fs::create_dir_all(folder.path().join("1_Pooling")).unwrap();
    write(
        "1_Pooling/config.json",
        &json!({ format!("pooling_mode_{pooling}"): true }),
    );
}

fn engine(folder: &TempDir) -> Arc<dyn Engine> {
    block_on(CpuBackend::new().load(request(folder.path()), Progress::silent())).unwrap()
}

#[test]
fn an_engine_embeds_as_the_models_files_say() {
    let folder = open_hearted().write();
    let mut model = CpuModel::load(&request(folder.path()), &Progress::silent()).unwrap();
    let texts: Vec<String> = (1..40)
        .map(|number| format!("text {number} ").repeat(number))
        .collect();
    for (mode, pooling) in [
        ("mean_tokens", Pooling::Mean),
        ("cls_token", Pooling::First),
        ("lasttoken", Pooling::Last),
    ] {
        write_modules(&folder, mode, pooling == Pooling::Mean);
        let engine = engine(&folder);
        assert!(engine.capabilities().embeddings);
        let embeddings = block_on(engine.embed(texts.clone())).unwrap();
        assert_eq!(embeddings.vectors.len(), texts.len());
        let mut all = 0;
        for (text, vector) in texts.iter().zip(&embeddings.vectors) {
            let tokens = engine.tokenize(text).unwrap();
            all += tokens.len();
            let mut expected = expected(&mut model, &tokens, pooling);
            if pooling == Pooling::Mean {
                let length = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
                for x in &mut expected {
                    *x /= length;
                }
            }
            assert_near(vector, &expected, mode);
        }
        assert_eq!(embeddings.prompt_tokens, all);
        let error = block_on(engine.embed(vec!["x".repeat(600)])).unwrap_err();
        assert!(matches!(error, Error::ContextOverflow { .. }), "{error}");
        let error = block_on(engine.embed(vec![String::new()])).unwrap_err();
        assert!(matches!(error, Error::InvalidParameter { .. }), "{error}");
        assert_eq!(block_on(engine.embed(Vec::new())).unwrap().vectors.len(), 0);
    }
}

#[test]
fn a_model_that_is_not_made_for_it_says_so() {
    let engine = engine(&Tiny::llama().write());
    assert!(!engine.capabilities().embeddings);
    let error = block_on(engine.embed(vec!["text".to_owned()])).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unsupported {
                field: Field::Embeddings,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_decoder_saved_without_the_model_around_it_is_one() {
    let whole = Tiny::llama();
    let mut bare = whole.clone();
    let tensors = std::mem::take(&mut bare.tensors).into_iter();
    bare.tensors = tensors
        .map(|(name, tensor)| (name.trim_start_matches("model.").to_owned(), tensor))
        .collect();
    let logits = |tiny: &Tiny| {
        let folder = tiny.write();
        let mut model = CpuModel::load(&request(folder.path()), &Progress::silent()).unwrap();
        rows_of(&mut model, &tokens(9, 1))
    };
    assert_eq!(logits(&whole), logits(&bare));
}
