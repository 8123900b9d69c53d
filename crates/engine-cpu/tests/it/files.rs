//! The forms in which weights can lie on disk, and files that can't be used.

use std::fs;

use engine_core::{Backend, ComputeType, Error, Model, Progress, Quantization};
use engine_cpu::{CpuBackend, CpuModel};
use futures_executor::block_on;
use safetensors::Dtype;
use serde_json::json;

use super::tiny::{Tiny, llama_config, load, numbers_as, rows_of, with_threads};

const PROMPT: [u32; 5] = [1, 250, 33, 7, 90];

fn rows_from(folder: &std::path::Path) -> Vec<Vec<f32>> {
    rows_of(&mut load(folder), &PROMPT)
}

#[test]
fn shards_with_an_index_are_one_model() {
    let tiny = Tiny::llama();
    let whole = tiny.write();
    let sharded = tempfile::tempdir().unwrap();
    tiny.write_text(sharded.path());
    let names: Vec<_> = tiny.tensors.keys().cloned().collect();
    let mut weight_map = serde_json::Map::new();
    for (number, names) in names.chunks(8).enumerate() {
        let file = format!("model-{number:05}.safetensors");
        tiny.write_shard(sharded.path(), &file, names);
        weight_map.extend(names.iter().map(|name| (name.clone(), json!(file))));
    }
    fs::write(
        sharded.path().join("model.safetensors.index.json"),
        json!({"metadata": {}, "weight_map": weight_map}).to_string(),
    )
    .unwrap();
    assert_eq!(rows_from(sharded.path()), rows_from(whole.path()));
}

#[test]
fn every_plain_type_is_read() {
    let exact = rows_from(Tiny::llama().write().path());
    for (dtype, tolerance) in [(Dtype::F16, 0.01), (Dtype::BF16, 0.08)] {
        let folder = Tiny::new(&llama_config(), dtype).write();
        let rows = rows_from(folder.path());
        let largest = exact[4].iter().fold(0f32, |most, x| most.max(x.abs()));
        for (number, expected) in rows[4].iter().zip(&exact[4]) {
            assert!((number - expected).abs() < tolerance * largest, "{dtype:?}");
        }
    }
}

/// The quantized weights of `tiny` as plain ones, for another way to the same logits.
fn dequantized(tiny: &Tiny, bits: usize, group: usize) -> Tiny {
    let mut config = tiny.config.clone();
    config.remove("quantization");
    let mut plain = Tiny::new(&config.into(), Dtype::F32);
    for (name, tensor) in &mut plain.tensors {
        let Some(module) = name.strip_suffix(".weight") else {
            continue;
        };
        let Some(scales) = tiny.tensors.get(&format!("{module}.scales")) else {
            *tensor = tiny.tensors[name].clone();
            continue;
        };
        let f32s = |bytes: &[u8]| -> Vec<f32> {
            let (fours, _) = bytes.as_chunks::<4>();
            fours.iter().map(|four| f32::from_le_bytes(*four)).collect()
        };
        let scales = f32s(&scales.bytes);
        let biases = f32s(&tiny.tensors[&format!("{module}.biases")].bytes);
        let packed = &tiny.tensors[name].bytes;
        let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
        let numbers: Vec<f32> = (0..rows * columns)
            .map(|index| {
                let quant: u32 = (0..bits)
                    .map(|bit| {
                        let place = index * bits + bit;
                        u32::from(packed[place / 8] >> (place % 8) & 1) << bit
                    })
                    .sum();
                let group = index / group;
                scales[group] * quant as f32 + biases[group]
            })
            .collect();
        *tensor = numbers_as(Dtype::F32, &tensor.shape.clone(), &numbers);
    }
    plain
}

#[test]
fn every_width_and_group_of_quantized_weights_is_read() {
    for bits in [2, 3, 4, 5, 6, 8] {
        for group in [32, 64] {
            let mut config = llama_config();
            config["quantization"] = json!({"group_size": group, "bits": bits});
            let tiny = Tiny::new(&config, Dtype::F32);
            let rows = rows_from(tiny.write().path());
            let exact = rows_from(dequantized(&tiny, bits, group).write().path());
            let largest = exact[4].iter().fold(0f32, |most, x| most.max(x.abs()));
            for (number, expected) in rows[4].iter().zip(&exact[4]) {
                assert!(
                    (number - expected).abs() < 0.05 * largest,
                    "{bits} bits by {group}: {number} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn the_model_says_what_it_is() {
    let mut config = llama_config();
    config["quantization"] = json!({"group_size": 32, "bits": 4});
    let folder = Tiny::new(&config, Dtype::F16).write();
    let model = load(folder.path());
    let info = model.info();
    assert_eq!(info.backend.name, "cpu");
    assert!(!info.backend.simulated);
    assert!(info.device.starts_with("CPU ("), "{}", info.device);
    assert_eq!(info.architecture, "llama");
    assert_eq!((info.vocab_size, info.context_length), (288, 512));
    assert_eq!(info.compute, ComputeType::F32);
    let quantization = Quantization {
        bits: 4,
        group_size: 32,
    };
    assert_eq!(info.quantization, Some(quantization));
    // Half a byte a weight, and two halves for each 32 of them.
    let projections = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64) + 2 * 288 * 64;
    let norms = 5 * 64 * 4;
    assert_eq!(
        info.weight_bytes,
        projections / 2 + projections / 32 * 4 + norms
    );
    assert_eq!(model.memory().weight_bytes, info.weight_bytes);
}

#[test]
fn nothing_at_the_path_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let request = with_threads(&folder.path().join("nothing"), 1);
    let error = block_on(CpuBackend::new().load(request, Progress::silent())).unwrap_err();
    assert!(matches!(error, Error::ModelNotFound { .. }), "{error}");
}

#[test]
fn what_is_missing_superfluous_or_of_another_shape_is_named() {
    let ensure_invalid = |tiny: &Tiny, what: &str| {
        let folder = tiny.write();
        let request = with_threads(folder.path(), 1);
        let error = CpuModel::load(&request, &Progress::silent()).unwrap_err();
        let Error::InvalidModel { reason, .. } = &error else {
            panic!("not an invalid model: {error}");
        };
        assert!(reason.contains(what), "{what:?} is not in {reason:?}");
    };
    let name = "model.layers.1.mlp.up_proj.weight";
    let mut tiny = Tiny::llama();
    tiny.tensors.remove(name);
    ensure_invalid(&tiny, name);
    let mut tiny = Tiny::llama();
    let other = numbers_as(Dtype::F32, &[64, 128], &vec![0.5; 64 * 128]);
    tiny.tensors.insert(name.to_owned(), other);
    ensure_invalid(&tiny, name);
    let mut tiny = Tiny::llama();
    let stranger = numbers_as(Dtype::F32, &[2], &[0.5; 2]);
    tiny.tensors.insert("model.stranger".to_owned(), stranger);
    ensure_invalid(&tiny, "model.stranger");
}

#[test]
fn architectures_that_are_not_known_are_unsupported() {
    for (key, value) in [
        ("model_type", json!("mamba")),
        ("hidden_act", json!("relu")),
        ("rope_scaling", json!({"type": "yarn", "factor": 2.0})),
    ] {
        let folder = Tiny::llama().with_config(key, value).write();
        let error =
            CpuModel::load(&with_threads(folder.path(), 1), &Progress::silent()).unwrap_err();
        assert!(
            matches!(error, Error::UnsupportedModel { .. }),
            "{key}: {error}"
        );
    }
}
