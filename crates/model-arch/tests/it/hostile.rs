//! Configurations that make no sense: an error that names the field, never a panic.

use model_arch::{ArchError, DecoderSpec, known_model_types};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{config, error, read};

#[test]
fn numbers_outside_their_range_are_named_with_it() {
    for (field, value) in [
        ("hidden_size", json!(0)),
        ("hidden_size", json!(-64)),
        ("hidden_size", json!(64.5)),
        ("hidden_size", json!("64")),
        ("num_hidden_layers", json!(1025)),
        ("num_hidden_layers", json!(4_294_967_296_u64)),
        ("vocab_size", json!(16_777_217)),
        ("intermediate_size", json!(1e300)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(true)),
        ("num_key_value_heads", json!(3)),
        ("num_key_value_heads", json!(16)),
        ("head_dim", json!(7)),
        ("head_dim", json!(8192)),
        ("rms_norm_eps", json!(0)),
        ("rms_norm_eps", json!(-1e-5)),
        ("rms_norm_eps", json!({ "__float__": "NaN" })),
        ("rope_theta", json!(0.0)),
        ("rope_theta", json!([10_000])),
        ("max_position_embeddings", json!(0)),
        ("attention_bias", json!("yes")),
        ("rope_scaling", json!("linear")),
        ("quantization", json!(4)),
        ("bos_token_id", json!(-1)),
    ] {
        let changes: Value = [(field.to_owned(), value)].into_iter().collect();
        let error = error("llama", changes);
        assert!(
            matches!(&error, ArchError::InvalidField { field: found, expected, .. }
                if found == field && !expected.is_empty()),
            "{field}: {error}"
        );
    }
}

#[test]
fn heads_must_share_the_hidden_size_evenly() {
    let error = error(
        "llama",
        json!({ "num_attention_heads": 7, "head_dim": null }),
    );
    assert!(
        error
            .to_string()
            .contains("a divisor of hidden_size, which is 64"),
        "{error}"
    );
}

#[test]
fn a_long_value_is_quoted_in_part() {
    let error = error("llama", json!({ "hidden_size": "x".repeat(100_000) }));
    assert!(error.to_string().len() < 200);
    let error = error_of_type(&"y".repeat(100_000));
    assert!(error.to_string().len() < 300);
}

fn error_of_type(model_type: &str) -> ArchError {
    read(&config(model_type, json!({}))).expect_err("no family has that name")
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_u64..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![
            Just("llama3"),
            Just("linear"),
            Just("default"),
            Just("silu"),
            Just("affine"),
            Just("full_attention"),
            Just("sliding_attention"),
        ]
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any_field(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn any_field() -> impl Strategy<Value = String> {
    let known = [
        "hidden_size",
        "num_hidden_layers",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "rms_norm_eps",
        "vocab_size",
        "rope_theta",
        "max_position_embeddings",
        "tie_word_embeddings",
        "hidden_act",
        "rope_scaling",
        "rope_parameters",
        "quantization",
        "quantization_config",
        "layer_types",
        "sliding_window",
        "use_sliding_window",
        "attention_bias",
        "mlp_bias",
        "eos_token_id",
        "bos_token_id",
        "partial_rotary_factor",
        "group_size",
        "bits",
        "mode",
        "quant_method",
        "type",
        "rope_type",
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        "[a-z_.]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever a sound configuration's fields are replaced by: an error, or a spec that holds.
    #[test]
    fn any_configuration_is_read_or_refused(
        family in proptest::sample::select(known_model_types().collect::<Vec<_>>()),
        changes in proptest::collection::btree_map(any_field(), any_json(), 0..5),
    ) {
        let changes: Map<String, Value> = changes.into_iter().collect();
        let config = config(family, changes.into());
        if let Ok(spec) = read(&config) {
            prop_assert!(spec.layers <= 1024);
            prop_assert_eq!(spec.layer_attention.len(), spec.layers as usize);
            prop_assert_eq!(spec.attention.heads % spec.attention.kv_heads, 0);
            prop_assert!(spec.rope.inverse_frequencies().iter().all(|f| f.is_finite()));
            prop_assert!(spec.tensors().count() >= 3);
            prop_assert!(spec.kv_bytes(1, 4) > 0);
        }
    }

    #[test]
    fn any_object_is_read_or_refused(
        object in proptest::collection::btree_map(".{0,12}", any_json(), 0..8),
    ) {
        let object: Map<String, Value> = object.into_iter().collect();
        prop_assert!(DecoderSpec::from_config(&object).is_err());
    }
}
