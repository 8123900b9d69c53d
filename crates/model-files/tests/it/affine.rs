//! Repacked blocks are the same weights: both sides dequantized by oracles written here.

use half::f16;
use model_files::{Checkpoint, Dtype, FilesError};
use proptest::prelude::*;

use crate::fixtures::{
    GgufBytes, HEAD_DIM, HEADS, HIDDEN, INNER, KV_HEADS, TensorBytes, gguf_file, small_gguf,
};

const Q4_0: u32 = 2;
const Q4_1: u32 = 3;
const Q8_0: u32 = 8;

fn block_bytes(kind: u32) -> usize {
    match kind {
        Q4_0 => 18,
        Q4_1 => 20,
        _ => 34,
    }
}

/// GGML's reading of a block: `dequantize_row_q*` of ggml's `ggml-quants.c`.
fn dequantize_block(kind: u32, block: &[u8]) -> Vec<f64> {
    let half = |at: usize| f64::from(f16::from_le_bytes([block[at], block[at + 1]]).to_f32());
    let nibble = |start: usize, element: usize| {
        let byte = block[start + element % 16];
        f64::from(if element < 16 { byte & 15 } else { byte >> 4 })
    };
    (0..32)
        .map(|element| match kind {
            Q4_0 => half(0) * (nibble(2, element) - 8.0),
            Q4_1 => half(0) * nibble(4, element) + half(2),
            _ => half(0) * f64::from(block[2 + element].cast_signed()),
        })
        .collect()
}

/// MLX's reading of a packed row: element i is bits `i * bits..` of the row's little-endian bits.
fn dequantize_packed(words: &[u8], scales: &[f64], biases: &[f64], bits: usize) -> Vec<f64> {
    (0..words.len() * 8 / bits)
        .map(|element| {
            let word = element * bits / 32 * 4;
            let word = u32::from_le_bytes(words[word..word + 4].try_into().unwrap());
            let quantized = (word >> (element * bits % 32)) & ((1 << bits) - 1);
            scales[element / 32] * f64::from(quantized) + biases[element / 32]
        })
        .collect()
}

fn numbers(checkpoint: &Checkpoint, name: &str) -> (Dtype, Vec<f64>) {
    let tensor = checkpoint.read(name).unwrap();
    let numbers = match tensor.info.dtype {
        Dtype::F16 => tensor
            .data
            .chunks(2)
            .map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32().into())
            .collect(),
        Dtype::F32 => tensor
            .data
            .chunks(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()).into())
            .collect(),
        other => panic!("{name} is {other}"),
    };
    assert_eq!(Some(tensor.data.len()), tensor.info.byte_len());
    (tensor.info.dtype, numbers)
}

/// The weights of a module as presented, and the type of its scales.
fn presented(checkpoint: &Checkpoint, module: &str, bits: usize) -> (Dtype, Vec<f64>) {
    let words = checkpoint.read(&format!("{module}.weight")).unwrap();
    assert_eq!(words.info.dtype, Dtype::U32);
    assert_eq!(Some(words.data.len()), words.info.byte_len());
    let (dtype, scales) = numbers(checkpoint, &format!("{module}.scales"));
    let (bias_dtype, biases) = numbers(checkpoint, &format!("{module}.biases"));
    assert_eq!(dtype, bias_dtype);
    (
        dtype,
        dequantize_packed(&words.data, &scales, &biases, bits),
    )
}

fn open(gguf: &GgufBytes) -> Checkpoint {
    let (_folder, path) = gguf_file(&gguf.build());
    Checkpoint::open(&path).unwrap()
}

/// Blocks for `rows` rows of `columns`, whose halves are `scale` and random bytes else.
fn random_blocks(kind: u32, count: usize) -> impl Strategy<Value = Vec<u8>> {
    // Halves with an exponent below all ones are finite.
    let half = any::<u16>().prop_map(|bits| {
        if bits & 0x7c00 == 0x7c00 {
            bits ^ 0x4000
        } else {
            bits
        }
    });
    let block = (
        half.clone(),
        half,
        proptest::collection::vec(any::<u8>(), 32),
    );
    proptest::collection::vec(block, count).prop_map(move |blocks| {
        let mut out = Vec::new();
        for (scale, bias, bytes) in blocks {
            let start = out.len();
            out.extend(scale.to_le_bytes());
            if kind == Q4_1 {
                out.extend(bias.to_le_bytes());
            }
            out.extend(bytes);
            out.truncate(start + block_bytes(kind));
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn repacked_blocks_are_the_same_weights(
        (kind, blocks) in prop_oneof![Just(Q4_0), Just(Q4_1), Just(Q8_0)]
            .prop_flat_map(|kind| (Just(kind), random_blocks(kind, INNER * HIDDEN / 32)))
    ) {
        let mut gguf = small_gguf("qwen2");
        gguf.tensor("blk.0.ffn_up.weight", TensorBytes::new(kind, &[INNER, HIDDEN], blocks.clone()));
        let bits = if kind == Q8_0 { 8 } else { 4 };
        let (_, found) = presented(&open(&gguf), "model.layers.0.mlp.up_proj", bits);
        let expected: Vec<f64> = blocks
            .chunks(block_bytes(kind))
            .flat_map(|block| dequantize_block(kind, block))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn rows_of_llama_queries_and_keys_are_put_in_order(
        blocks in random_blocks(Q4_1, HIDDEN * HIDDEN / 32),
        keys in proptest::bool::ANY,
    ) {
        let (name, module, heads) = if keys {
            ("blk.0.attn_k.weight", "model.layers.0.self_attn.k_proj", KV_HEADS)
        } else {
            ("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj", HEADS)
        };
        let rows = heads * HEAD_DIM;
        let blocks = &blocks[..rows * HIDDEN / 32 * 20];
        // llama.cpp's converter: reshape(heads, 2, half, columns), swap axes 1 and 2.
        let original: Vec<f64> = blocks
            .chunks(20)
            .flat_map(|block| dequantize_block(Q4_1, block))
            .collect();
        let mut expected = vec![0.0; original.len()];
        let half = HEAD_DIM / 2;
        for head in 0..heads {
            for side in 0..2 {
                for pair in 0..half {
                    let stored = head * HEAD_DIM + pair * 2 + side;
                    let wanted = head * HEAD_DIM + side * half + pair;
                    expected[wanted * HIDDEN..(wanted + 1) * HIDDEN]
                        .copy_from_slice(&original[stored * HIDDEN..(stored + 1) * HIDDEN]);
                }
            }
        }
        let mut gguf = small_gguf("llama");
        gguf.tensor(name, TensorBytes::new(Q4_1, &[rows, HIDDEN], blocks.to_vec()));
        prop_assert_eq!(presented(&open(&gguf), module, 4).1, expected);
        // The same bytes are in order already in a file of Qwen's.
        let mut gguf = small_gguf("qwen2");
        gguf.tensor(name, TensorBytes::new(Q4_1, &[rows, HIDDEN], blocks.to_vec()));
        prop_assert_eq!(presented(&open(&gguf), module, 4).1, original);
    }
}

/// A matrix of `Q8_0` or `Q4_0` blocks that all have this scale.
fn uniform(kind: u32, scale: f16) -> GgufBytes {
    let mut block = scale.to_le_bytes().to_vec();
    block.resize(block_bytes(kind), 0x7f);
    let mut gguf = small_gguf("qwen2");
    gguf.tensor(
        "blk.0.ffn_up.weight",
        TensorBytes::new(kind, &[INNER, HIDDEN], block.repeat(INNER * HIDDEN / 32)),
    );
    gguf
}

#[test]
fn scales_are_f16_as_far_as_the_biases_fit() {
    // 511.75 * 128 is f16's greatest number, 65504.
    for (kind, scale) in [
        (Q8_0, 511.75),
        (Q8_0, 6e-8),
        (Q4_0, 8188.0),
        (Q4_0, -8188.0),
    ] {
        let checkpoint = open(&uniform(kind, f16::from_f32(scale)));
        let bits = if kind == Q8_0 { 8 } else { 4 };
        let (dtype, _) = presented(&checkpoint, "model.layers.0.mlp.up_proj", bits);
        assert_eq!(dtype, Dtype::F16, "{scale}");
    }
}

#[test]
fn scales_are_f32_when_a_bias_exceeds_f16() {
    for (kind, scale) in [(Q8_0, 512.0), (Q8_0, -65504.0), (Q4_0, 8192.0)] {
        let gguf = uniform(kind, f16::from_f32(scale));
        let checkpoint = open(&gguf);
        let module = "model.layers.0.mlp.up_proj";
        let bits = if kind == Q8_0 { 8 } else { 4 };
        let (dtype, found) = presented(&checkpoint, module, bits);
        assert_eq!(dtype, Dtype::F32, "{scale}");
        let block = &gguf.tensors.last().unwrap().1.data[..block_bytes(kind)];
        assert_eq!(found[..32], dequantize_block(kind, block));
    }
}

#[test]
fn a_scale_that_is_not_finite_is_an_error_that_names_the_tensor() {
    for scale in [f16::NAN, f16::INFINITY] {
        let checkpoint = open(&uniform(Q8_0, scale));
        for part in ["scales", "biases"] {
            let error = checkpoint
                .read(&format!("model.layers.0.mlp.up_proj.{part}"))
                .unwrap_err();
            assert!(matches!(&error, FilesError::Malformed { .. }));
            assert!(error.to_string().contains("blk.0.ffn_up.weight"), "{error}");
        }
    }
}

#[test]
fn unquantized_rows_are_put_in_order_too() {
    let rows = HEADS * HEAD_DIM;
    let mut gguf = small_gguf("llama");
    let values = (0..rows).flat_map(|row| vec![row as f32; HIDDEN]);
    gguf.tensor(
        "blk.0.attn_q.weight",
        TensorBytes::f32(&[rows, HIDDEN], values),
    );
    gguf.tensor(
        "blk.0.attn_q.bias",
        TensorBytes::f32(&[rows], (0..rows).map(|row| row as f32)),
    );
    let checkpoint = open(&gguf);
    let (_, weights) = numbers(&checkpoint, "model.layers.0.self_attn.q_proj.weight");
    let (_, bias) = numbers(&checkpoint, "model.layers.0.self_attn.q_proj.bias");
    let firsts: Vec<f64> = weights.iter().step_by(HIDDEN).copied().collect();
    assert_eq!(firsts, bias);
    let head: Vec<f64> = (0..8).map(|pair| f64::from(2 * pair)).collect();
    assert_eq!(bias[..8], head);
    assert_eq!(bias[16..18], [16.0, 18.0]);
}
