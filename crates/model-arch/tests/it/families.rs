//! Defaults and demands of each family, as in mlx-lm 0.32.2's model files.

use model_arch::{
    ArchError, DecoderSpec, LayerAttention, LayerMlp, TensorRole, TensorSpec, known_model_types,
};
use serde_json::{Value, json};

use crate::{error, message, read, spec};

fn names(spec: &DecoderSpec) -> Vec<String> {
    spec.tensors().map(|tensor| tensor.name).collect()
}

#[test]
fn llama_takes_absent_fields_from_mlx_lm() {
    let spec = spec(
        "llama",
        json!({
            "num_key_value_heads": null, "head_dim": null, "max_position_embeddings": null,
            "rope_theta": null, "tie_word_embeddings": null, "hidden_act": null,
        }),
    );
    assert_eq!(spec.attention.kv_heads, 8);
    assert_eq!(spec.attention.head_dim, 8);
    assert_eq!(spec.rope.theta, 10_000.0);
    assert!(spec.tie_embeddings);
    assert!(!spec.rope.traditional);
    assert_eq!(spec.layer_attention, [LayerAttention::Full; 2]);
}

#[test]
fn llama_head_dim_may_differ_from_the_share_of_the_hidden_size() {
    let spec = spec("llama", json!({ "head_dim": 32 }));
    assert_eq!(spec.attention.query_size(), 256);
    let query = spec
        .tensors()
        .find(|tensor| tensor.role == TensorRole::Query)
        .unwrap();
    assert_eq!(query.shape, [256, 64]);
    let output = spec
        .tensors()
        .find(|tensor| tensor.role == TensorRole::AttentionOutput)
        .unwrap();
    assert_eq!(output.shape, [64, 256]);
    assert!((f64::from(spec.attention.scale) - 32_f64.powf(-0.5)).abs() < 1e-7);
}

#[test]
fn llama_takes_a_head_dim_of_zero_as_absent() {
    assert_eq!(
        spec("llama", json!({ "head_dim": 0 })).attention.head_dim,
        8
    );
}

#[test]
fn llama_biases_follow_two_flags() {
    let biased = spec("llama", json!({ "attention_bias": true, "mlp_bias": true }));
    assert_eq!(biased.tensors().filter(TensorSpec::is_bias).count(), 2 * 7);
    let plain = spec("llama", json!({}));
    assert_eq!(plain.tensors().filter(TensorSpec::is_bias).count(), 0);
}

#[test]
fn qwen2_has_biases_on_queries_keys_and_values_alone() {
    let spec = spec(
        "qwen2",
        json!({ "rope_theta": null, "max_position_embeddings": null, "tie_word_embeddings": null }),
    );
    let biased: Vec<_> = spec
        .tensors()
        .filter(|tensor| tensor.is_bias() && tensor.layer == Some(1))
        .map(|tensor| (tensor.role, tensor.shape))
        .collect();
    assert_eq!(
        biased,
        [
            (TensorRole::Query, vec![64]),
            (TensorRole::Key, vec![16]),
            (TensorRole::Value, vec![16]),
        ]
    );
    assert_eq!(spec.rope.theta, 1_000_000.0);
    assert_eq!(spec.context_length, 32_768);
    assert!(spec.tie_embeddings);
}

#[test]
fn qwen3_normalises_queries_and_keys() {
    let spec = spec("qwen3", json!({ "head_dim": 16 }));
    let norms: Vec<_> = spec
        .tensors()
        .filter(|tensor| matches!(tensor.role, TensorRole::QueryNorm | TensorRole::KeyNorm))
        .map(|tensor| (tensor.name, tensor.shape))
        .collect();
    assert_eq!(norms.len(), 4);
    assert_eq!(
        norms[0],
        (
            "model.layers.0.self_attn.q_norm.weight".to_owned(),
            vec![16]
        )
    );
}

#[test]
fn qwen3_demands_what_mlx_lm_demands() {
    for field in [
        "head_dim",
        "num_key_value_heads",
        "max_position_embeddings",
        "tie_word_embeddings",
        "rope_theta",
    ] {
        let changes: Value = [(field.to_owned(), Value::Null)].into_iter().collect();
        assert_eq!(
            error("qwen3", changes),
            ArchError::MissingField {
                field: field.to_owned(),
                model_type: "qwen3".to_owned()
            }
        );
    }
}

fn with_experts(changes: Value) -> Value {
    let mut all = json!({
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
        "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [],
    });
    if let Value::Object(changes) = changes {
        for (field, value) in changes {
            all[field] = value;
        }
    }
    all
}

#[test]
fn qwen3_moe_routes_tokens_to_experts() {
    let spec = spec("qwen3_moe", with_experts(json!({})));
    let [LayerMlp::Experts(first), LayerMlp::Experts(_)] = spec.layer_mlp[..] else {
        panic!("{:?} has no experts", spec.layer_mlp);
    };
    assert_eq!((first.count, first.per_token), (4, 2));
    assert_eq!(first.intermediate_size, 32);
    assert!(first.normalized);
    assert!(spec.attention.qk_norm);
    assert_eq!(spec.widest_mlp(), 64);
    let mlp: Vec<_> = spec
        .tensors()
        .filter(|tensor| tensor.layer == Some(1) && tensor.name.contains(".mlp."))
        .map(|tensor| (tensor.name, tensor.shape))
        .collect();
    let expected = [
        ("model.layers.1.mlp.gate.weight", vec![4, 64]),
        (
            "model.layers.1.mlp.switch_mlp.gate_proj.weight",
            vec![4, 32, 64],
        ),
        (
            "model.layers.1.mlp.switch_mlp.up_proj.weight",
            vec![4, 32, 64],
        ),
        (
            "model.layers.1.mlp.switch_mlp.down_proj.weight",
            vec![4, 64, 32],
        ),
    ]
    .map(|(name, shape)| (name.to_owned(), shape));
    assert_eq!(mlp, expected);
}

#[test]
fn some_layers_of_qwen3_moe_may_be_dense() {
    for (changes, experts_in) in [
        (json!({ "mlp_only_layers": [0] }), [false, true]),
        (json!({ "decoder_sparse_step": 2 }), [false, true]),
        (json!({ "num_experts": 0 }), [false, false]),
    ] {
        let spec = spec("qwen3_moe", with_experts(changes.clone()));
        let found: Vec<_> = spec
            .layer_mlp
            .iter()
            .map(|mlp| matches!(mlp, LayerMlp::Experts(_)))
            .collect();
        assert_eq!(found, experts_in, "{changes}");
    }
}

#[test]
fn experts_lie_stacked_or_one_by_one() {
    let spec = spec("qwen3_moe", with_experts(json!({ "mlp_only_layers": [0] })));
    let stacked: Vec<_> = spec
        .tensors()
        .filter(|tensor| !tensor.expert_parts().is_empty())
        .collect();
    assert_eq!(stacked.len(), 3);
    let down = &stacked[2];
    assert_eq!(down.role, TensorRole::ExpertDown);
    assert_eq!(
        down.expert_parts()[3],
        "model.layers.1.mlp.experts.3.down_proj.weight"
    );
    assert_eq!(down.expert_parts().len(), 4);
}

#[test]
fn qwen3_moe_refuses_experts_that_make_no_sense() {
    for (field, value) in [
        ("num_experts_per_tok", json!(0)),
        ("num_experts_per_tok", json!(5)),
        ("num_experts", json!(-1)),
        ("moe_intermediate_size", json!(null)),
        ("decoder_sparse_step", json!(0)),
        ("norm_topk_prob", json!(null)),
        ("mlp_only_layers", json!("none")),
        ("mlp_only_layers", json!([1.5])),
    ] {
        let message = message("qwen3_moe", with_experts(json!({ field: value })));
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn every_family_demands_the_sizes() {
    for family in known_model_types() {
        for field in [
            "hidden_size",
            "num_hidden_layers",
            "intermediate_size",
            "num_attention_heads",
            "rms_norm_eps",
            "vocab_size",
        ] {
            let changes: Value = [(field.to_owned(), Value::Null)].into_iter().collect();
            let message = message(family, changes);
            assert!(
                message.contains(field) && message.contains(family),
                "{message}"
            );
        }
    }
}

#[test]
fn lists_every_tensor_of_a_tied_model_once() {
    let spec = spec("llama", json!({ "tie_word_embeddings": true }));
    let mut all = names(&spec);
    assert_eq!(all.len(), 1 + 2 * 9 + 1);
    assert_eq!(all[0], "model.embed_tokens.weight");
    assert_eq!(all.last().unwrap(), "model.norm.weight");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 20);
}

#[test]
fn an_untied_model_has_an_output_head() {
    let head = spec("mistral", json!({})).tensors().last().unwrap();
    assert_eq!(head.name, "lm_head.weight");
    assert_eq!(head.shape, [100, 64]);
    assert_eq!(head.module(), "lm_head");
    assert!(head.quantizable);
}

#[test]
fn only_what_mlx_lm_drops_is_ignored() {
    let tied = spec("llama", json!({ "tie_word_embeddings": true }));
    let untied = spec("llama", json!({}));
    let frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq";
    assert!(tied.ignores(frequencies) && untied.ignores(frequencies));
    assert!(tied.ignores("lm_head.weight") && !untied.ignores("lm_head.weight"));
    assert!(!tied.ignores("model.norm.weight"));
}

#[test]
fn layer_types_say_which_layers_look_through_the_window() {
    let spec = spec(
        "mistral",
        json!({ "sliding_window": 1024, "layer_types": ["sliding_attention", "full_attention"] }),
    );
    assert_eq!(
        spec.layer_attention,
        [
            LayerAttention::Sliding { window: 1024 },
            LayerAttention::Full
        ]
    );
    assert_eq!(spec.ignored_sliding_window, None);
}

#[test]
fn a_window_is_applied_where_the_family_has_one() {
    use LayerAttention::{Full, Sliding};
    let window = Sliding { window: 1024 };
    for (family, changes, expected) in [
        (
            "mistral",
            json!({ "sliding_window": 1024 }),
            [window, window],
        ),
        (
            "qwen2",
            json!({ "sliding_window": 1024, "use_sliding_window": true, "max_window_layers": 1 }),
            [Full, window],
        ),
        (
            "qwen3",
            json!({ "sliding_window": 1024, "use_sliding_window": true, "max_window_layers": 0 }),
            [window, window],
        ),
        // transformers' default is layer 28.
        (
            "qwen2",
            json!({ "sliding_window": 1024, "use_sliding_window": true }),
            [Full, Full],
        ),
        // As long as the context, or not asked for.
        ("mistral", json!({ "sliding_window": 4096 }), [Full, Full]),
        ("mistral", json!({ "sliding_window": null }), [Full, Full]),
        (
            "qwen2",
            json!({ "sliding_window": 1024, "use_sliding_window": false, "max_window_layers": 0 }),
            [Full, Full],
        ),
    ] {
        let spec = spec(family, changes.clone());
        assert_eq!(spec.layer_attention, expected, "{family} {changes}");
        assert_eq!(spec.ignored_sliding_window, None, "{family} {changes}");
    }
}

#[test]
fn a_window_that_llama_does_not_know_is_noted() {
    let spec = spec("llama", json!({ "sliding_window": 1024 }));
    assert_eq!(spec.layer_attention, [LayerAttention::Full; 2]);
    assert_eq!(spec.ignored_sliding_window, Some(1024));
}

#[test]
fn layer_types_must_fit_the_layers() {
    let short = message("llama", json!({ "layer_types": ["full_attention"] }));
    assert!(
        short.contains("layer_types") && short.contains("list of 2"),
        "{short}"
    );
    let odd = message(
        "llama",
        json!({ "layer_types": ["full_attention", "chunked_attention"] }),
    );
    assert!(odd.contains("chunked_attention"), "{odd}");
    let endless = message(
        "llama",
        json!({ "layer_types": ["full_attention", "sliding_attention"] }),
    );
    assert!(endless.contains("sliding_window"), "{endless}");
}

#[test]
fn computations_that_are_not_implemented_are_named() {
    for (family, field, value) in [
        ("llama", "hidden_act", json!("gelu")),
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("qwen2", "head_dim", json!(16)),
        ("qwen3", "attention_bias", json!(true)),
    ] {
        let changes: Value = [(field.to_owned(), value.clone())].into_iter().collect();
        let error = error(family, changes);
        let value = value.to_string();
        assert!(
            matches!(&error, ArchError::UnsupportedValue { field: found, value: quoted, .. }
                if found == field && *quoted == value),
            "{error}"
        );
    }
}

#[test]
fn an_unknown_family_is_told_the_known_ones() {
    let message = message("mamba", json!({}));
    assert_eq!(
        message,
        "models of the type \"mamba\" are not implemented; those of llama, mistral, qwen2, qwen3, qwen3_moe are"
    );
    assert!(
        read(&json!({}))
            .unwrap_err()
            .to_string()
            .contains("model_type")
    );
}

#[test]
fn end_tokens_may_be_one_or_several() {
    assert_eq!(
        spec("llama", json!({ "eos_token_id": 2 })).eos_token_ids,
        [2]
    );
    assert_eq!(
        spec(
            "llama",
            json!({ "eos_token_id": [1, 5], "bos_token_id": 0 })
        )
        .eos_token_ids,
        [1, 5]
    );
    assert_eq!(spec("llama", json!({})).bos_token_id, None);
    assert!(message("llama", json!({ "eos_token_id": "</s>" })).contains("eos_token_id"));
    assert!(message("llama", json!({ "eos_token_id": [1, -1] })).contains("[1,-1]"));
}

#[test]
fn kv_cache_grows_by_keys_and_values_of_all_layers_up_to_their_windows() {
    let token = 2 * 2 * 8 * 2;
    assert_eq!(spec("llama", json!({})).kv_bytes(10, 2), 10 * 2 * token);
    let windowed = spec(
        "llama",
        json!({"sliding_window": 7, "layer_types": ["sliding_attention", "full_attention"]}),
    );
    for context in [1, 7, 8, 100] {
        let kept = u64::from(context + context.min(7));
        assert_eq!(windowed.kv_bytes(context, 2), kept * token);
    }
}

#[test]
fn serializes_with_names_that_explain_themselves() {
    let value = serde_json::to_value(spec("llama", json!({}))).unwrap();
    assert_eq!(value["norm"]["kind"], "rms_norm");
    assert_eq!(value["rope"]["scaling"]["type"], "none");
    assert_eq!(value["layer_attention"], json!(["full", "full"]));
}
