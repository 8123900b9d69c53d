//! Every family against what mlx-lm computes in f32: the goldens of `engine-mlx`.

use engine_core::{LoadRequest, Logits, LogitsWanted, Model, Progress, Run, TokenId};
use engine_cpu::CpuModel;
use model_arch::DecoderSpec;
use safetensors::Dtype;
use serde_json::Value;

use super::tiny::{Tiny, TinyTensor, greedy, load, rows_of};

struct Golden {
    name: String,
    tiny: Tiny,
    quantized: bool,
    prompt: Vec<TokenId>,
    last_logits: Vec<Vec<f32>>,
    greedy: Vec<TokenId>,
}

fn goldens() -> Vec<Golden> {
    let goldens: Vec<Value> = serde_json::from_str(include_str!(
        "../../../engine-mlx/tests/fixtures/goldens.json"
    ))
    .unwrap();
    assert_eq!(goldens.len(), 12);
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

/// A mixture of experts as Hugging Face's files have it: each expert's matrices by themselves.
#[test]
fn experts_in_parts_are_those_of_the_joined_tensor() {
    let golden = goldens()
        .into_iter()
        .find(|golden| golden.name == "qwen3_moe")
        .unwrap();
    let mut parted = golden.tiny.clone();
    let spec = DecoderSpec::from_config(&parted.config).unwrap();
    let mut parts = 0;
    for tensor in spec.tensors() {
        let names = tensor.expert_parts();
        let Some(joined) = (!names.is_empty()).then(|| parted.tensors.remove(&tensor.name)) else {
            continue;
        };
        let joined = joined.unwrap();
        let bytes = joined.bytes.len() / names.len();
        for (name, bytes) in names.into_iter().zip(joined.bytes.chunks_exact(bytes)) {
            let part = TinyTensor {
                dtype: joined.dtype,
                shape: joined.shape[1..].to_vec(),
                bytes: bytes.to_vec(),
            };
            parted.tensors.insert(name, part);
            parts += 1;
        }
    }
    assert!(parts >= 3 * 8, "only {parts} parts");
    let rows = |tiny: &Tiny| rows_of(&mut load(tiny.write().path()), &golden.prompt);
    assert_eq!(rows(&parted), rows(&golden.tiny));

    let missing = parted
        .tensors
        .keys()
        .find(|name| name.contains("experts.3."))
        .cloned()
        .unwrap();
    parted.tensors.remove(&missing);
    let folder = parted.write();
    let error = CpuModel::load(&LoadRequest::new(folder.path()), &Progress::silent()).unwrap_err();
    assert!(error.to_string().contains(&missing), "{error}");
}

#[test]
fn rows_of_different_experts_do_not_disturb_each_other() {
    for golden in goldens() {
        if golden.tiny.config["model_type"] != "qwen3_moe" {
            continue;
        }
        let folder = golden.tiny.write();
        let mut model = load(folder.path());
        let together = rows_of(&mut model, &golden.prompt);
        // One token at a time, each through its own experts alone.
        let sequence = model.open().unwrap();
        let mut logits = Logits::new();
        for (token, expected) in golden.prompt.iter().zip(&together) {
            let run = Run {
                sequence,
                tokens: &[*token],
                logits: LogitsWanted::Last,
            };
            model.forward(&[run], &mut logits).unwrap();
            let apart = apart(logits.last(0).unwrap(), expected);
            assert!(apart < 1e-3, "{}: {apart} apart", golden.name);
        }
    }
}
