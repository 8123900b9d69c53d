//! Every family against what mlx-lm computes in f32: the goldens of `engine-mlx`.

use engine_core::{Error, LoadRequest, Model, Progress, TokenId};
use engine_cpu::CpuModel;
use safetensors::Dtype;
use serde_json::Value;

use super::tiny::{Tiny, greedy, load, rows_of};

struct Golden {
    name: String,
    tiny: Tiny,
    quantized: bool,
    prompt: Vec<TokenId>,
    last_logits: Vec<Vec<f32>>,
    greedy: Vec<TokenId>,
}

/// Those with a mixture of experts, or those without.
fn written(with_experts: bool) -> Vec<Value> {
    let mut goldens: Vec<Value> = serde_json::from_str(include_str!(
        "../../../engine-mlx/tests/fixtures/goldens.json"
    ))
    .unwrap();
    goldens.retain(|golden| golden["config"]["num_experts"].is_u64() == with_experts);
    goldens
}

#[test]
fn mixtures_of_experts_are_refused_by_name() {
    let goldens = written(true);
    assert_eq!(goldens.len(), 2);
    for golden in goldens {
        let folder = Tiny::new(&golden["config"], Dtype::F32).write();
        let error = CpuModel::load(&LoadRequest::new(folder.path()), &Progress::silent());
        assert!(
            matches!(&error, Err(Error::UnsupportedModel { reason, .. })
                if reason.contains("mixtures of experts")),
            "{error:?}"
        );
    }
}

fn goldens() -> Vec<Golden> {
    let goldens = written(false);
    assert_eq!(goldens.len(), 10);
    let tokens = |value: &Value| -> Vec<TokenId> { serde_json::from_value(value.clone()).unwrap() };
    goldens
        .iter()
        .map(|golden| {
            let dtype = match golden["dtype"].as_str().unwrap() {
                "F16" => Dtype::F16,
                "BF16" => Dtype::BF16,
                _ => Dtype::F32,
            };
            let tiny = Tiny::new(&golden["config"], dtype);
            Golden {
                name: golden["name"].as_str().unwrap().to_owned(),
                quantized: tiny.config.contains_key("quantization"),
                tiny,
                prompt: tokens(&golden["prompt"]),
                last_logits: serde_json::from_value(golden["last_logits"].clone()).unwrap(),
                greedy: tokens(&golden["greedy"]),
            }
        })
        .collect()
}

/// The largest difference of two rows, over the largest magnitude of the expected one.
fn apart(row: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(row.len(), expected.len());
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let most = row
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, f32::max);
    most / largest
}

#[test]
fn logits_are_those_of_mlx_lm() {
    for golden in goldens() {
        let folder = golden.tiny.write();
        let mut model = load(folder.path());
        assert_eq!(model.info().architecture, golden.tiny.config["model_type"]);
        let rows = rows_of(&mut model, &golden.prompt);
        assert_eq!(rows.len(), golden.prompt.len());
        // Keys and values are halves; quantized weights meet activations of eight bits.
        let allowed = if golden.quantized { 0.08 } else { 2e-3 };
        let last = &rows[rows.len() - golden.last_logits.len()..];
        for (row, expected) in last.iter().zip(&golden.last_logits) {
            let apart = apart(row, expected);
            assert!(apart < allowed, "{}: {apart} apart", golden.name);
        }
    }
}

#[test]
fn likeliest_tokens_are_those_of_mlx_lm_where_weights_are_plain() {
    let mut compared = 0;
    for golden in goldens().iter().filter(|golden| !golden.quantized) {
        let folder = golden.tiny.write();
        let mut model = load(folder.path());
        let tokens = greedy(&mut model, &golden.prompt, golden.greedy.len());
        assert_eq!(tokens, golden.greedy, "{}", golden.name);
        compared += 1;
    }
    assert!(compared >= 5, "only {compared} models are plain");
}
