//! Rotary frequencies against values that mlx-lm 0.32.2 computed.

use model_arch::{ArchError, RopeScaling};
use serde_json::{Value, json};

use crate::{error, message, spec};

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found / expected - 1.0).abs() < 2e-6,
            "{found} is not {expected}"
        );
    }
}

#[test]
fn frequencies_fall_geometrically() {
    let rope = spec("llama", json!({ "rope_theta": 10000 })).rope;
    assert_close(&rope.inverse_frequencies(), &[1.0, 0.1, 0.01, 0.001]);
    assert_close(&rope.periods(), &[1.0, 10.0, 100.0, 1000.0]);
    assert_eq!(rope.position_scale(), 1.0);
}

#[test]
fn linear_scaling_divides_positions() {
    for key in ["type", "rope_type"] {
        let scaling = json!({ key: "linear", "factor": 4.0 });
        let rope = spec(
            "llama",
            json!({ "rope_theta": 10000, "rope_scaling": scaling }),
        )
        .rope;
        assert_close(
            &rope.inverse_frequencies(),
            &[0.25, 0.025, 0.0025, 0.000_25],
        );
        assert_eq!(rope.position_scale(), 0.25);
    }
}

/// `Llama3RoPE(64, base=500000, …)._freqs`, as Llama 3.2 1B has it.
#[test]
fn llama3_scaling_agrees_with_mlx_lm() {
    #[rustfmt::skip]
    let expected = [
        1.0, 1.506_929, 2.270_835_2, 3.421_987_5, 5.156_692_5, 7.770_77, 11.709_999, 17.646_14,
        26.591_48, 40.071_472, 60.384_87, 90.995_71, 137.124_08, 206.636_28, 311.386_2, 774.864_75,
        2_327.981_4, 10_300.479, 51_383.137, 77_430.74, 116_682.63, 175_832.45, 264_967.03,
        399_286.53, 601_696.5, 906_713.94, 1_366_353.6, 2_058_998.0, 3_102_764.0, 4_675_645.0,
        7_045_865.5, 10_617_620.0,
    ];
    let rope = spec(
        "llama",
        json!({
            "head_dim": 64,
            "rope_theta": 500_000.0,
            "rope_scaling": {
                "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
            },
        }),
    )
    .rope;
    assert_close(&rope.periods(), &expected);
    let inverse: Vec<f32> = expected.iter().map(|period| 1.0 / period).collect();
    assert_close(&rope.inverse_frequencies(), &inverse);
    assert_eq!(rope.position_scale(), 1.0);
}

/// `Llama3RoPE(16, base=10000, {"factor": 8})._freqs`.
#[test]
fn llama3_scaling_takes_absent_fields_from_mlx_lm() {
    let expected = [
        1.0,
        3.162_277_7,
        10.0,
        31.622_776,
        100.0,
        316.227_75,
        4_681.483,
        25_298.22,
    ];
    let rope = spec(
        "llama",
        json!({
            "head_dim": 16,
            "rope_theta": 10000,
            "rope_scaling": { "rope_type": "llama3", "factor": 8.0 },
        }),
    )
    .rope;
    assert_close(&rope.periods(), &expected);
}

#[test]
fn transformers_5_nests_the_parameters() {
    for family in ["llama", "mistral", "qwen2", "qwen3"] {
        let parameters = json!({ "rope_theta": 5e5, "rope_type": "linear", "factor": 2.0 });
        let rope = spec(
            family,
            json!({ "rope_theta": null, "rope_parameters": parameters }),
        )
        .rope;
        assert_eq!(rope.theta, 5e5, "{family}");
        assert_eq!(
            rope.scaling,
            RopeScaling::Linear { factor: 2.0 },
            "{family}"
        );
    }
}

#[test]
fn fields_beside_rope_parameters_win() {
    let rope = spec(
        "qwen3",
        json!({
            "rope_theta": 7e5,
            "rope_scaling": { "type": "default" },
            "rope_parameters": { "rope_theta": 5e5, "rope_type": "linear", "factor": 2.0 },
        }),
    )
    .rope;
    assert_eq!(rope.theta, 7e5);
    assert_eq!(rope.scaling, RopeScaling::None);
}

#[test]
fn other_scalings_are_named() {
    for kind in ["yarn", "dynamic", "longrope", "mrope", "xyz"] {
        assert_eq!(
            error(
                "qwen2",
                json!({ "rope_scaling": { "type": kind, "factor": 2.0 } })
            ),
            ArchError::UnsupportedRope {
                kind: kind.to_owned()
            }
        );
    }
    let by_layer = json!({ "full_attention": { "rope_theta": 1e4 } });
    let message = message(
        "llama",
        json!({ "rope_theta": null, "rope_parameters": by_layer }),
    );
    assert!(message.contains("type of layer"), "{message}");
}

#[test]
fn scaling_numbers_must_make_sense() {
    let cases: [(Value, &str); 6] = [
        (json!({ "type": "linear" }), "rope_scaling.factor"),
        (
            json!({ "type": "linear", "factor": 0 }),
            "rope_scaling.factor",
        ),
        (
            json!({ "type": "linear", "factor": "4" }),
            "rope_scaling.factor",
        ),
        (
            json!({ "type": "llama3", "factor": 8, "low_freq_factor": 4.0 }),
            "rope_scaling.high_freq_factor",
        ),
        (
            json!({ "type": "llama3", "factor": 8, "original_max_position_embeddings": 0 }),
            "rope_scaling.original_max_position_embeddings",
        ),
        (json!({ "type": 3 }), "rope_scaling.type"),
    ];
    for (scaling, field) in cases {
        let message = message("llama", json!({ "rope_scaling": scaling }));
        assert!(message.contains(field), "{message}");
    }
}
