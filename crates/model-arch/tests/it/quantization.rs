//! Quantization plans in the form that mlx-lm writes.

use model_arch::{Affine, ArchError, QuantizationPlan};
use serde_json::{Value, json};

use crate::{error, message, spec};

fn plan(changes: Value) -> QuantizationPlan {
    spec("llama", changes)
        .quantization
        .expect("a plan is given")
}

fn affine(group_size: usize, bits: usize) -> Affine {
    let row = group_size * 32;
    Affine::from_shapes(row, row * bits / 32, 32).expect("the form is supported")
}

#[test]
fn modules_follow_the_default_unless_named() {
    let plan = plan(json!({ "quantization": {
        "group_size": 64, "bits": 4, "mode": "affine",
        "model.embed_tokens": { "group_size": 32, "bits": 8 },
        "lm_head": false,
        "model.layers.0.mlp.up_proj": true,
        "model.layers.1.mlp.up_proj": {},
    }}));
    assert_eq!(
        plan.for_module("model.layers.0.mlp.gate_proj"),
        Some(affine(64, 4))
    );
    assert_eq!(
        plan.for_module("model.layers.0.mlp.up_proj"),
        Some(affine(64, 4))
    );
    assert_eq!(
        plan.for_module("model.layers.1.mlp.up_proj"),
        Some(affine(64, 4))
    );
    assert_eq!(plan.for_module("model.embed_tokens"), Some(affine(32, 8)));
    assert_eq!(plan.for_module("lm_head"), None);
}

#[test]
fn an_empty_entry_means_the_library_default_and_not_the_file_default() {
    let plan = plan(json!({ "quantization": { "group_size": 32, "bits": 8, "lm_head": {} } }));
    assert_eq!(plan.for_module("lm_head"), Some(affine(64, 4)));
}

#[test]
fn without_an_entry_nothing_is_quantized() {
    assert_eq!(spec("llama", json!({})).quantization, None);
    assert_eq!(
        spec("llama", json!({ "quantization": null })).quantization,
        None
    );
}

#[test]
fn the_older_name_does_too() {
    let old = json!({ "group_size": 128, "bits": 6 });
    assert_eq!(
        plan(json!({ "quantization_config": old })).default,
        affine(128, 6)
    );
}

#[test]
fn mlx_entries_win_over_foreign_ones() {
    let both = json!({
        "quantization": { "group_size": 32, "bits": 3 },
        "quantization_config": { "quant_method": "awq", "bits": 4 },
    });
    assert_eq!(plan(both).default, affine(32, 3));
}

#[test]
fn foreign_methods_and_modes_are_named() {
    for method in ["gptq", "awq", "bitsandbytes", "fp8", "compressed-tensors"] {
        let foreign = json!({ "quant_method": method, "bits": 4, "group_size": 128 });
        assert_eq!(
            error("llama", json!({ "quantization_config": foreign })),
            ArchError::UnsupportedQuantization {
                method: method.to_owned()
            }
        );
    }
    for quantization in [
        json!({ "group_size": 32, "bits": 4, "mode": "mxfp4" }),
        json!({ "group_size": 32, "bits": 4, "lm_head": { "mode": "mxfp4" } }),
    ] {
        let message = message("llama", json!({ "quantization": quantization }));
        assert!(message.contains("mxfp4"), "{message}");
    }
}

#[test]
fn bits_and_group_sizes_that_mlx_lacks_are_refused() {
    for (quantization, field) in [
        (json!({ "group_size": 64, "bits": 7 }), "quantization.bits"),
        (json!({ "group_size": 64, "bits": 1 }), "quantization.bits"),
        (
            json!({ "group_size": 48, "bits": 4 }),
            "quantization.group_size",
        ),
        (
            json!({ "group_size": 0, "bits": 4 }),
            "quantization.group_size",
        ),
        (json!({ "bits": 4 }), "quantization.group_size"),
        (
            json!({ "group_size": 64, "bits": 4, "lm_head": { "bits": 9 } }),
            "quantization.lm_head.bits",
        ),
    ] {
        let message = message("llama", json!({ "quantization": quantization }));
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn the_form_follows_from_the_shapes() {
    for bits in [2, 3, 4, 5, 6, 8] {
        for group_size in [16, 32, 64, 128] {
            let found = Affine::from_shapes(1536, 1536 * bits / 32, 1536 / group_size).unwrap();
            assert_eq!(
                (found.bits as usize, found.group_size as usize),
                (bits, group_size)
            );
        }
    }
}

#[test]
fn shapes_that_do_not_fit_have_no_form() {
    for (row, words, groups) in [
        (1536, 193, 48),
        (1536, 192, 47),
        (1536, 192, 0),
        (0, 192, 48),
        (1536, usize::MAX, 48),
        (1536, 48, 48),
        (1536, 192, 192),
    ] {
        assert_eq!(
            Affine::from_shapes(row, words, groups),
            None,
            "{row} {words} {groups}"
        );
    }
}
