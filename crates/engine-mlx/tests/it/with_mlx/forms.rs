//! The forms in which the same weights can lie on disk.

use std::fs;

use engine_core::{ComputeType, Model, Progress, Quantization};
use engine_mlx::MlxModel;
use safetensors::Dtype;
use serde_json::json;

use super::{
    mlx_process::beside_others,
    tiny::{Tiny, llama_config, numbers_as, on_cpu, rows_of},
};

const PROMPT: [u32; 5] = [1, 250, 33, 7, 90];

fn rows_from(folder: &std::path::Path) -> Vec<Vec<f32>> {
    let mut model = MlxModel::load(&on_cpu(folder), &Progress::silent()).unwrap();
    rows_of(&mut model, &PROMPT)
}

#[test]
fn shards_with_an_index_are_one_model() {
    let _process = beside_others();
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
    let _process = beside_others();
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

#[test]
fn the_default_applies_where_the_shapes_agree_and_the_shapes_win_elsewhere() {
    let _process = beside_others();
    let mut config = llama_config();
    config["quantization"] = json!({
        "group_size": 64, "bits": 4,
        "model.layers.0.mlp.up_proj": {"group_size": 32, "bits": 8},
    });
    let named = Tiny::new(&config, Dtype::F32);
    let unnamed = named
        .clone()
        .with_config("quantization", json!({"group_size": 64, "bits": 4}));
    assert_eq!(
        rows_from(named.write().path()),
        rows_from(unnamed.write().path())
    );
}

#[test]
fn tensors_that_nothing_uses_may_be_there() {
    let _process = beside_others();
    let mut config = llama_config();
    config["tie_word_embeddings"] = json!(true);
    let tiny = Tiny::new(&config, Dtype::F32);
    let mut more = tiny.clone();
    let frequencies = numbers_as(Dtype::F32, &[8], &[0.5; 8]);
    more.tensors.insert(
        "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(),
        frequencies,
    );
    more.tensors.insert(
        "lm_head.weight".to_owned(),
        tiny.tensors["model.embed_tokens.weight"].clone(),
    );
    assert_eq!(
        rows_from(more.write().path()),
        rows_from(tiny.write().path())
    );
}

#[test]
fn the_model_says_what_it_is() {
    let _process = beside_others();
    let mut config = llama_config();
    config["quantization"] = json!({"group_size": 32, "bits": 4});
    let folder = Tiny::new(&config, Dtype::F16).write();
    let model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
    let info = model.info();
    assert_eq!(info.backend.name, "mlx");
    assert_eq!(info.backend.version, "0.32.2");
    assert!(!info.backend.simulated);
    assert_eq!(info.device, "CPU");
    assert_eq!(info.architecture, "llama");
    assert_eq!((info.vocab_size, info.context_length), (288, 512));
    assert_eq!(info.compute, ComputeType::F32);
    let quantization = Quantization {
        bits: 4,
        group_size: 32,
    };
    assert_eq!(info.quantization, Some(quantization));
    // Half a byte a weight, and two f32 for each 32 of them.
    let projections = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64) + 2 * 288 * 64;
    let norms = 5 * 64 * 4;
    assert_eq!(
        info.weight_bytes,
        projections / 2 + projections / 32 * 8 + norms
    );
    assert_eq!(model.memory().weight_bytes, info.weight_bytes);
}
