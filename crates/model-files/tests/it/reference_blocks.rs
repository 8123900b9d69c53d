//! Every block type against the Python package gguf: `fixtures/make_blocks.py`.

use model_files::{Checkpoint, Dtype};
use serde_json::Value;

use crate::fixtures::{TensorBytes, gguf_file, small_gguf};

const ROWS: usize = 2;
const COLUMNS: usize = 256;

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap())
        .collect()
}

fn f32s(bytes: &[u8]) -> Vec<f64> {
    let (fours, _) = bytes.as_chunks::<4>();
    fours
        .iter()
        .map(|four| f32::from_le_bytes(*four).into())
        .collect()
}

/// Scales or biases, of either type.
fn numbers(checkpoint: &Checkpoint, name: &str) -> Vec<f64> {
    let tensor = checkpoint.read(name).unwrap();
    assert_eq!(Some(tensor.data.len()), tensor.info.byte_len());
    match tensor.info.dtype {
        Dtype::F32 => f32s(&tensor.data),
        Dtype::F16 => {
            let (twos, _) = tensor.data.as_chunks::<2>();
            twos.iter()
                .map(|two| half::f16::from_le_bytes(*two).to_f64())
                .collect()
        }
        other => panic!("{name} is {other}"),
    }
}

#[test]
fn presented_weights_are_those_of_the_reference() {
    let entries: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/blocks.json")).unwrap();
    assert_eq!(entries.len(), 10);
    for entry in entries {
        let kind = entry["kind"].as_str().unwrap();
        let number = entry["number"].as_u64().unwrap() as u32;
        let blocks = from_hex(entry["blocks"].as_str().unwrap());
        let expected = f32s(&from_hex(entry["weights"].as_str().unwrap()));
        assert_eq!(expected.len(), ROWS * COLUMNS);
        let mut gguf = small_gguf("qwen2");
        let tensor = TensorBytes::new(number, &[ROWS, COLUMNS], blocks);
        gguf.tensor("blk.0.ffn_up.weight", tensor);
        let (_folder, path) = gguf_file(&gguf.build());
        let checkpoint = Checkpoint::open(&path).unwrap();

        let module = "model.layers.0.mlp.up_proj";
        let words = checkpoint.read(&format!("{module}.weight")).unwrap();
        assert_eq!(Some(words.data.len()), words.info.byte_len(), "{kind}");
        let bits = words.data.len() * 8 / (ROWS * COLUMNS);
        let scales = numbers(&checkpoint, &format!("{module}.scales"));
        let biases = numbers(&checkpoint, &format!("{module}.biases"));
        let group = ROWS * COLUMNS / scales.len();
        let quantization = &checkpoint.config()["quantization"];
        assert_eq!(quantization["bits"], bits, "{kind}");
        assert_eq!(quantization["group_size"], group, "{kind}");
        for (index, expected) in expected.iter().enumerate() {
            let quant: u32 = (0..bits)
                .map(|bit| {
                    let place = index * bits + bit;
                    u32::from(words.data[place / 8] >> (place % 8) & 1) << bit
                })
                .sum();
            let (scale, bias) = (scales[index / group], biases[index / group]);
            let weight = scale * f64::from(quant) + bias;
            // The reference rounds each product and each sum to 24 bits.
            let allowed = 2f64.powi(-23) * (scale * f64::from(quant)).abs().max(bias.abs());
            assert!(
                (weight - expected).abs() <= allowed,
                "{kind}, weight {index}: {weight} instead of {expected}"
            );
        }
    }
}
