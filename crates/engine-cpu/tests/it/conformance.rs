//! The contract, on tiny models with random weights: batches and pieces give bit for bit what their
//! runs give one by one.

use std::{sync::Arc, time::Duration};

use engine_conformance::{EngineSuite, ModelSuite};
use engine_core::{KvType, Model, Progress};
use engine_cpu::{CpuBackend, CpuModel};
use serde_json::{Value, json};

use super::tiny::{Tiny, llama_config, with_threads};

fn conforms(tiny: &Tiny, threads: u32, kv_type: KvType, passed: usize) {
    let folder = tiny.write();
    let mut request = with_threads(folder.path(), threads);
    request.options.kv_type = kv_type;
    ModelSuite::new(move || {
        let model = CpuModel::load(&request, &Progress::silent())?;
        Ok(Box::new(model) as Box<dyn Model>)
    })
    .run()
    .assert_passed(passed);
}

#[test]
fn a_plain_model_conforms() {
    conforms(&Tiny::llama(), 1, KvType::Auto, 45);
}

#[test]
fn a_quantized_model_with_a_window_conforms() {
    let mut config = llama_config();
    config["quantization"] = json!({"group_size": 32, "bits": 4});
    config["layer_types"] = json!(["sliding_attention", "full_attention"]);
    config["sliding_window"] = json!(6);
    conforms(
        &Tiny::new(&config, safetensors::Dtype::F16),
        2,
        KvType::F16,
        46,
    );
}

#[test]
fn a_model_with_mixed_bits_and_a_cache_of_eight_conforms() {
    let mut config = llama_config();
    config["quantization"] = json!({
        "group_size": 64, "bits": 3,
        "lm_head": {"group_size": 32, "bits": 8},
        "model.layers.0.mlp.up_proj": {"group_size": 32, "bits": 6},
        "model.layers.1.self_attn.v_proj": false,
    });
    conforms(
        &Tiny::new(&config, safetensors::Dtype::BF16),
        3,
        KvType::Q8,
        45,
    );
}

/// All but the two cases about characters of several tokens, which the real model writes.
fn engine_conforms(config: &Value) {
    let mut tiny = Tiny::new(config, safetensors::Dtype::F32)
        .with_config("max_position_embeddings", Value::from(16_384));
    // Bytes that are no characters by themselves never become the likeliest: the suite needs text
    // whose tokens it can tell apart.
    let row = 64 * 4;
    let head = tiny.tensors.get_mut("lm_head.weight").unwrap();
    head.bytes[128 * row..256 * row].fill(0);
    let folder = tiny.write();
    EngineSuite::of_backend(Arc::new(CpuBackend::new()), with_threads(folder.path(), 2))
        .with_deadline(Duration::from_mins(5))
        .run()
        .assert_passed(84);
}

#[test]
fn the_engine_conforms() {
    engine_conforms(&llama_config());
}

/// Its sequences can't be cut anywhere, so that the prompt cache has to keep places to come back
/// to.
#[test]
fn the_engine_of_a_model_with_a_window_conforms() {
    let mut config = llama_config();
    config["max_position_embeddings"] = json!(16_384);
    config["layer_types"] = json!(["sliding_attention", "full_attention"]);
    config["sliding_window"] = json!(20);
    engine_conforms(&config);
}
