//! Sizes from a `config.json`.

use engine_core::{KvCacheShape, Quantization, SlidingLayers};
use proptest::prelude::*;
use registry::{ConfigFacts, Runs};
use serde_json::{Value, json};

fn facts(config: &Value) -> ConfigFacts {
    ConfigFacts::read(config.as_object().unwrap())
}

/// SmolLM2-135M, in 4 bits with groups of 32.
fn small() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30,
        "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
        "rms_norm_eps": 1e-5, "vocab_size": 49152, "max_position_embeddings": 8192,
        "rope_theta": 100_000, "tie_word_embeddings": true,
        "quantization": {"group_size": 32, "bits": 4},
    })
}

#[test]
fn a_known_architecture_is_counted_exactly() {
    let facts = facts(&small());
    assert_eq!(facts.parameters, Some(134_515_008));
    assert_eq!(facts.context, Some(8192));
    assert_eq!(facts.model_type.as_deref(), Some("llama"));
    let expected = Quantization {
        bits: 4,
        group_size: 32,
    };
    assert_eq!(facts.quantization, Some(expected));
    assert!(facts.runs().is_yes());
    let shape = KvCacheShape {
        layers: 30,
        kv_heads: 3,
        head_dim: 64,
        element_bytes: 2,
        sliding: None,
    };
    assert_eq!(facts.kv_cache, Some(shape));
}

#[test]
fn weights_are_packed_numbers_and_what_belongs_to_them() {
    let facts = facts(&small());
    // 61 norms stay as they are; everything else is 4 bits, and two numbers for each 32.
    let norms = 61 * 576;
    let packed = 134_515_008 - norms;
    for element in [2_u32, 4] {
        let estimate = facts.memory_estimate(None, 1000, element).unwrap();
        let element = u64::from(element);
        let expected = packed / 2 + packed / 32 * 2 * element + norms * element;
        assert_eq!(estimate.weight_bytes, expected);
        assert_eq!(estimate.kv_bytes, 1000 * 2 * 30 * 3 * 64 * element);
    }
}

#[test]
fn a_window_bounds_the_cache_of_its_layers() {
    let mut config = small();
    config["sliding_window"] = json!(512);
    config["layer_types"] = (0..30)
        .map(|layer| match layer % 3 {
            0 => "full_attention",
            _ => "sliding_attention",
        })
        .collect();
    let facts = facts(&config);
    let expected = SlidingLayers {
        layers: 20,
        window: 512,
    };
    assert_eq!(facts.kv_cache.unwrap().sliding, Some(expected));
    for context in [100, 4096] {
        let estimate = facts.memory_estimate(None, context, 2).unwrap();
        let kept = 10 * context + 20 * context.min(512);
        assert_eq!(estimate.kv_bytes, u64::from(kept) * 2 * 3 * 64 * 2);
        let shape = facts.kv_cache.unwrap();
        assert_eq!(shape.bytes(context), estimate.kv_bytes);
    }
}

#[test]
fn the_files_size_counts_where_it_is_known() {
    let facts = facts(&small());
    let files = 90_000_000;
    let as_stored = facts.memory_estimate(Some(files), 1, 2).unwrap();
    assert_eq!(as_stored.weight_bytes, files);
    let wider = facts.memory_estimate(Some(files), 1, 4).unwrap();
    let norms = 61 * 576;
    let numbers = (134_515_008 - norms) / 32 * 2 + norms;
    assert_eq!(wider.weight_bytes, files + 2 * numbers);
}

#[test]
fn an_unknown_architecture_needs_the_files_size() {
    let facts = facts(&json!({
        "model_type": "gpt_oss", "num_hidden_layers": 24, "num_attention_heads": 64,
        "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131_072,
        "quantization": {"mode": "mxfp4", "bits": 4, "group_size": 32},
    }));
    assert!(matches!(facts.runs(), Runs::NotYet { .. }));
    assert_eq!((facts.parameters, facts.quantization), (None, None));
    assert_eq!(facts.memory_estimate(None, 1, 2), None);
    let estimate = facts.memory_estimate(Some(12_000_000_000), 10, 2).unwrap();
    assert_eq!(estimate.weight_bytes, 12_000_000_000);
    assert_eq!(estimate.kv_bytes, 10 * 2 * 24 * 8 * 64 * 2);
    assert_eq!(estimate.overhead_bytes, 600_000_000);
}

#[test]
fn a_model_that_sees_has_its_text_settings_deeper() {
    let facts = facts(&json!({
        "model_type": "gemma3",
        "text_config": {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
            "max_position_embeddings": 100},
    }));
    let shape = facts.kv_cache.unwrap();
    assert_eq!((shape.layers, shape.kv_heads, shape.head_dim), (3, 4, 16));
    assert_eq!(facts.context, Some(100));
}

#[test]
fn an_empty_configuration_says_nothing() {
    let facts = facts(&json!({}));
    assert_eq!(facts.runs(), Runs::Unknown);
    assert_eq!((facts.context, facts.kv_cache), (None, None));
    assert_eq!(facts.memory_estimate(Some(1), 1, 2), None);
}

proptest! {
    #[test]
    fn no_configuration_makes_it_panic_or_overflow(
        layers in any::<u64>(), heads in any::<u64>(), hidden in any::<u64>(),
        files in any::<u64>(), context in any::<u32>(), element in 0_u32..9,
    ) {
        let facts = facts(&json!({
            "model_type": "other", "num_hidden_layers": layers, "num_attention_heads": heads,
            "hidden_size": hidden, "quantization": {"bits": heads, "group_size": layers},
        }));
        if let Some(estimate) = facts.memory_estimate(Some(files), context, element) {
            prop_assert!(estimate.total_bytes() >= files);
        }
    }
}
