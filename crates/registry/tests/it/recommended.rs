//! Publishers' settings.

use engine_core::GenerateParams;
use registry::Recommended;
use serde_json::{Value, json};

fn read(config: &Value) -> Recommended {
    Recommended::from_generation_config(config.as_object().unwrap())
}

#[test]
fn a_generation_config_is_read() {
    let found = read(&json!({
        "bos_token_id": 1, "do_sample": true, "eos_token_id": [2, 3], "temperature": 0.6,
        "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05, "transformers_version": "4.51.0",
    }));
    let params = found.params();
    assert_eq!((params.temperature, params.top_p), (0.6, 0.95));
    assert_eq!((params.top_k, params.repetition_penalty), (Some(20), 1.05));
    params.validate().unwrap();
}

#[test]
fn what_is_not_there_leaves_the_defaults() {
    assert_eq!(read(&json!({})).params(), GenerateParams::default());
    assert_eq!(read(&json!({"top_k": 0})).top_k, None);
}

#[test]
fn no_sampling_means_the_likeliest() {
    let found = read(&json!({"do_sample": false, "temperature": 0.6}));
    assert_eq!(found.temperature, Some(0.0));
}

#[test]
fn values_out_of_range_and_of_other_types_count_as_absent() {
    let found = read(&json!({
        "temperature": -1.0, "top_p": 0.0, "top_k": "many", "min_p": 2, "repetition_penalty": null,
    }));
    assert_eq!(found, Recommended::default());
    let found = read(&json!({"temperature": 99.0, "top_p": 0.9}));
    assert_eq!((found.temperature, found.top_p), (None, Some(0.9)));
}
