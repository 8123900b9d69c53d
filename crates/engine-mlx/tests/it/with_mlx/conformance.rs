//! The contract, on a tiny model with random weights.

use std::{sync::Arc, time::Duration};

use engine_conformance::{EngineSuite, ModelSuite, Tolerance};
use engine_core::{KvType, Model, Progress};
use engine_mlx::{MlxBackend, MlxModel};
use serde_json::{Value, json};

use super::{
    mlx_process::beside_others,
    tiny::{Tiny, llama_config, on_cpu},
};

fn model_suite(tiny: &Tiny) -> (ModelSuite, tempfile::TempDir) {
    let folder = tiny.write();
    let request = on_cpu(folder.path());
    let suite = ModelSuite::new(move || {
        let model = MlxModel::load(&request, &Progress::silent())?;
        Ok(Box::new(model) as Box<dyn Model>)
    });
    (suite, folder)
}

/// Pieces go through other kernels than the whole, which add in another order.
const ROUNDING: Tolerance = Tolerance {
    absolute: 1e-6,
    relative: 1e-5,
};

#[test]
fn a_plain_model_conforms() {
    let _process = beside_others();
    let (suite, _folder) = model_suite(&Tiny::llama());
    suite.with_tolerance(ROUNDING).run().assert_passed(50);
}

#[test]
fn a_quantized_model_with_a_window_conforms() {
    let _process = beside_others();
    let mut config = llama_config();
    config["quantization"] = json!({"group_size": 32, "bits": 4});
    config["layer_types"] = json!(["sliding_attention", "full_attention"]);
    config["sliding_window"] = json!(6);
    let (suite, _folder) = model_suite(&Tiny::new(&config, safetensors::Dtype::F16));
    suite.with_tolerance(ROUNDING).run().assert_passed(51);
}

#[test]
fn a_model_with_a_window_and_a_cache_of_eight_bits_conforms() {
    let _process = beside_others();
    let mut config = llama_config();
    config["head_dim"] = json!(32);
    config["layer_types"] = json!(["sliding_attention", "full_attention"]);
    config["sliding_window"] = json!(6);
    let folder = Tiny::new(&config, safetensors::Dtype::F32).write();
    let mut request = on_cpu(folder.path());
    request.options.kv_type = KvType::Q8;
    let suite = ModelSuite::new(move || {
        let model = MlxModel::load(&request, &Progress::silent())?;
        Ok(Box::new(model) as Box<dyn Model>)
    });
    suite
        .with_tolerance(Tolerance {
            absolute: 1e-6,
            relative: 1e-2,
        })
        .run()
        .assert_passed(51);
}

#[test]
fn the_engine_conforms() {
    let _process = beside_others();
    let folder = Tiny::llama()
        .with_config("max_position_embeddings", Value::from(2048))
        .write();
    EngineSuite::of_backend(Arc::new(MlxBackend::new()), on_cpu(folder.path()))
        .with_deadline(Duration::from_mins(5))
        .run()
        .assert_passed(86);
}
