//! A GGUF file presents itself as an MLX folder.

use model_files::{Checkpoint, Dtype, FilesError, Format, gguf::GgmlType};
use serde_json::{Value, json};

use crate::fixtures::{
    GgufBytes, HEAD_DIM, HIDDEN, INNER, Meta, TensorBytes, byte_vocab, gguf_file, open_gguf,
    small_gguf,
};

fn config(gguf: &GgufBytes) -> Value {
    open_gguf(gguf).unwrap().config().clone().into()
}

fn message(gguf: &GgufBytes) -> String {
    let error = open_gguf(gguf).expect_err("the file is faulty");
    assert!(!error.suggestion().is_empty());
    error.to_string()
}

#[test]
fn is_recognised_by_its_content() {
    let (folder, path) = gguf_file(&small_gguf("llama").build());
    let other = folder.path().join("model.bin");
    std::fs::rename(path, &other).unwrap();
    let checkpoint = Checkpoint::open(&other).unwrap();
    assert_eq!(checkpoint.format(), Format::Gguf);
}

#[test]
fn tensors_bear_hugging_face_names() {
    let mut gguf = small_gguf("qwen3");
    gguf.tensor(
        "output.weight",
        TensorBytes::zeros_f32(&[byte_vocab().len(), HIDDEN]),
    );
    gguf.tensor(
        "blk.0.attn_q_norm.weight",
        TensorBytes::zeros_f32(&[HEAD_DIM]),
    );
    gguf.tensor(
        "blk.0.attn_k_norm.weight",
        TensorBytes::zeros_f32(&[HEAD_DIM]),
    );
    let checkpoint = open_gguf(&gguf).unwrap();
    let names: Vec<_> = checkpoint
        .tensors()
        .map(|info| info.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "lm_head.weight",
            "model.embed_tokens.weight",
            "model.layers.0.input_layernorm.weight",
            "model.layers.0.mlp.down_proj.weight",
            "model.layers.0.mlp.gate_proj.weight",
            "model.layers.0.mlp.up_proj.weight",
            "model.layers.0.post_attention_layernorm.weight",
            "model.layers.0.self_attn.k_norm.weight",
            "model.layers.0.self_attn.k_proj.weight",
            "model.layers.0.self_attn.o_proj.weight",
            "model.layers.0.self_attn.q_norm.weight",
            "model.layers.0.self_attn.q_proj.weight",
            "model.layers.0.self_attn.v_proj.weight",
            "model.norm.weight",
        ]
    );
    let info = checkpoint
        .info("model.layers.0.mlp.up_proj.weight")
        .unwrap();
    assert_eq!(
        (info.shape.as_slice(), info.dtype),
        (&[INNER, HIDDEN][..], Dtype::F32)
    );
}

#[test]
fn the_configuration_is_hugging_faces() {
    let mut gguf = small_gguf("llama");
    gguf.set("tokenizer.ggml.padding_token_id", Meta::U32(0));
    let expected = json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "bos_token_id": 261,
        "eos_token_id": 261,
        "head_dim": 16,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 96,
        "max_position_embeddings": 512,
        "mlp_bias": false,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-5,
        "rope_theta": 20000.0,
        "tie_word_embeddings": true,
        "torch_dtype": "float32",
        "vocab_size": 263,
    });
    assert_eq!(config(&gguf), expected);
}

#[test]
fn an_output_tensor_means_that_embeddings_are_not_tied() {
    let mut gguf = small_gguf("llama");
    gguf.tensor(
        "output.weight",
        TensorBytes::zeros_f32(&[byte_vocab().len(), HIDDEN]),
    );
    assert_eq!(config(&gguf)["tie_word_embeddings"], false);
}

#[test]
fn biases_are_told_by_their_tensors() {
    let mut gguf = small_gguf("llama");
    gguf.tensor("blk.0.attn_q.bias", TensorBytes::zeros_f32(&[HIDDEN]));
    gguf.tensor("blk.0.ffn_down.bias", TensorBytes::zeros_f32(&[HIDDEN]));
    let config = config(&gguf);
    assert_eq!(config["attention_bias"], true);
    assert_eq!(config["mlp_bias"], true);
}

#[test]
fn two_tokens_may_end_an_answer() {
    let mut gguf = small_gguf("llama");
    gguf.set("tokenizer.ggml.eot_token_id", Meta::U32(7));
    let checkpoint = open_gguf(&gguf).unwrap();
    assert_eq!(checkpoint.config()["eos_token_id"], json!([261, 7]));
    assert_eq!(
        checkpoint.generation_config().unwrap()["eos_token_id"],
        json!([261, 7])
    );
}

#[test]
fn quantization_is_described_as_mlx_lm_does() {
    let mut gguf = small_gguf("llama");
    for name in ["ffn_up", "ffn_gate"] {
        gguf.tensor(
            &format!("blk.0.{name}.weight"),
            TensorBytes::new(3, &[INNER, HIDDEN], vec![0; INNER * HIDDEN / 32 * 20]),
        );
    }
    let vocab = byte_vocab().len();
    gguf.tensor(
        "token_embd.weight",
        TensorBytes::new(8, &[vocab, HIDDEN], vec![0; vocab * HIDDEN / 32 * 34]),
    );
    let checkpoint = open_gguf(&gguf).unwrap();
    let config = checkpoint.config();
    let expected = json!({
        "group_size": 32,
        "bits": 4,
        "mode": "affine",
        "model.embed_tokens": { "group_size": 32, "bits": 8, "mode": "affine" },
        "model.layers.0.mlp.down_proj": false,
        "model.layers.0.self_attn.k_proj": false,
        "model.layers.0.self_attn.o_proj": false,
        "model.layers.0.self_attn.q_proj": false,
        "model.layers.0.self_attn.v_proj": false,
    });
    assert_eq!(config["quantization"], expected);
    assert_eq!(config["quantization_config"], expected);
    assert_eq!(config["torch_dtype"], "float16");
    for (name, shape, dtype) in [
        ("model.embed_tokens.weight", [vocab, HIDDEN / 4], Dtype::U32),
        (
            "model.embed_tokens.scales",
            [vocab, HIDDEN / 32],
            Dtype::F16,
        ),
        (
            "model.embed_tokens.biases",
            [vocab, HIDDEN / 32],
            Dtype::F16,
        ),
        (
            "model.layers.0.mlp.up_proj.weight",
            [INNER, HIDDEN / 8],
            Dtype::U32,
        ),
    ] {
        let info = checkpoint.info(name).unwrap();
        assert_eq!(
            (info.shape.as_slice(), info.dtype),
            (&shape[..], dtype),
            "{name}"
        );
    }
    let bytes: usize = checkpoint
        .tensors()
        .map(|info| checkpoint.read(&info.name).unwrap().data.len())
        .sum();
    assert_eq!(checkpoint.weight_bytes(), bytes as u64);
}

#[test]
fn other_types_are_listed_and_named_when_read() {
    let mut gguf = small_gguf("llama");
    gguf.tensor(
        "blk.0.ffn_up.weight",
        TensorBytes::new(20, &[INNER, HIDDEN], vec![0; INNER * 2 * 18]),
    );
    let (_folder, path) = gguf_file(&gguf.build());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let info = checkpoint
        .info("model.layers.0.mlp.up_proj.weight")
        .unwrap();
    assert_eq!(info.dtype, Dtype::Ggml(GgmlType::IQ4_NL));
    assert_eq!(info.shape, [INNER, HIDDEN]);
    let error = checkpoint.read(&info.name).unwrap_err();
    assert!(
        matches!(&error, FilesError::UnsupportedTensorType { tensor, kind, .. }
            if tensor == "blk.0.ffn_up.weight" && kind == "IQ4_NL"),
        "{error}"
    );
}

#[test]
fn half_types_are_borrowed_as_they_are() {
    for (number, dtype) in [(1, Dtype::F16), (30, Dtype::BF16)] {
        let mut gguf = small_gguf("qwen2");
        let data: Vec<u8> = (0..INNER * HIDDEN * 2).map(|byte| byte as u8).collect();
        gguf.tensor(
            "blk.0.ffn_up.weight",
            TensorBytes::new(number, &[INNER, HIDDEN], data.clone()),
        );
        let checkpoint = open_gguf(&gguf).unwrap();
        let tensor = checkpoint
            .read("model.layers.0.mlp.up_proj.weight")
            .unwrap();
        assert_eq!(tensor.info.dtype, dtype);
        assert!(matches!(tensor.data, std::borrow::Cow::Borrowed(bytes) if bytes == data));
    }
}

#[test]
fn what_has_no_place_is_named() {
    for name in [
        "blk.1.attn_norm.weight",
        "blk.0.ffn_gate_inp.weight",
        "blk.0.attn_q.lora",
        "x",
    ] {
        let mut gguf = small_gguf("llama");
        gguf.tensor(name, TensorBytes::zeros_f32(&[HIDDEN]));
        let message = message(&gguf);
        assert!(message.contains(name), "{message}");
    }
    let mut gguf = small_gguf("llama");
    gguf.remove_tensor("token_embd.weight");
    assert!(message(&gguf).contains("token_embd.weight"));
}

#[test]
fn what_is_not_implemented_is_named() {
    let cases: [(&str, Meta, &str); 9] = [
        (
            "general.architecture",
            Meta::text("mamba"),
            "\"mamba\" are not read; those of llama, qwen2, qwen3",
        ),
        ("llama.expert_count", Meta::U32(8), "llama.expert_count"),
        (
            "llama.attention.scale",
            Meta::F32(0.5),
            "llama.attention.scale",
        ),
        (
            "llama.attention.value_length",
            Meta::U32(8),
            "value_length is 8",
        ),
        (
            "llama.rope.dimension_count",
            Meta::U32(8),
            "dimension_count is 8",
        ),
        ("split.count", Meta::U32(2), "one of 2 files"),
        (
            "tokenizer.ggml.model",
            Meta::text("llama"),
            "\"llama\" are not read",
        ),
        (
            "tokenizer.ggml.pre",
            Meta::text("my-bpe"),
            "\"my-bpe\" is not known; known are default",
        ),
        (
            "llama.attention.head_count_kv",
            Meta::I32s(vec![2, 1]),
            "differs between layers",
        ),
    ];
    for (key, value, expected) in cases {
        let mut gguf = small_gguf("llama");
        gguf.set(key, value);
        let error = open_gguf(&gguf).unwrap_err();
        assert!(matches!(&error, FilesError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn metadata_that_must_be_there_is_named_when_missing_or_wrong() {
    for key in [
        "general.architecture",
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.model",
        "tokenizer.ggml.pre",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
    ] {
        for replacement in [None, Some(Meta::Bool(true))] {
            let mut gguf = small_gguf("llama");
            gguf.remove(key);
            if let Some(value) = replacement {
                gguf.set(key, value);
            }
            let message = message(&gguf);
            assert!(message.contains(key), "{key}: {message}");
        }
    }
    let mut gguf = small_gguf("llama");
    gguf.set("llama.rope.freq_base", Meta::F32(f32::NAN));
    assert!(message(&gguf).contains("llama.rope.freq_base"));
}

#[test]
fn query_rows_must_be_shared_evenly() {
    let mut gguf = small_gguf("llama");
    gguf.tensor(
        "blk.0.attn_q.weight",
        TensorBytes::zeros_f32(&[HIDDEN - 1, HIDDEN]),
    );
    assert!(message(&gguf).contains("63 rows"));
}
