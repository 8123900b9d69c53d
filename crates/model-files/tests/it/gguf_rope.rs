//! Rotary scaling of GGUF files becomes `rope_scaling`.

use serde_json::{Value, json};

use crate::fixtures::{GgufBytes, Meta, TensorBytes, open_gguf, small_gguf};

fn config(gguf: &GgufBytes) -> Value {
    open_gguf(gguf).unwrap().config().clone().into()
}

fn message(gguf: &GgufBytes) -> String {
    open_gguf(gguf).expect_err("the file is faulty").to_string()
}

#[test]
fn rope_scaling_is_passed_on() {
    let mut gguf = small_gguf("llama");
    gguf.set("llama.rope.scaling.type", Meta::text("linear"));
    gguf.set("llama.rope.scaling.factor", Meta::F32(4.0));
    assert_eq!(
        config(&gguf)["rope_scaling"],
        json!({ "rope_type": "linear", "factor": 4.0 })
    );
    gguf.set("llama.rope.scaling.type", Meta::text("none"));
    assert_eq!(config(&gguf).get("rope_scaling"), None);
    gguf.remove("llama.rope.scaling.type");
    gguf.set("llama.rope.scaling.factor", Meta::F32(1.0));
    assert_eq!(config(&gguf).get("rope_scaling"), None);
}

/// Llama 3's divisors for 8 frequencies of base 20000, factor 8, from transformers' formula.
fn llama3_divisors() -> Vec<f32> {
    (0..8)
        .map(|pair| {
            let wavelength = std::f64::consts::TAU * 20_000_f64.powf(f64::from(pair) / 8.0);
            let divisor = if wavelength < 2048.0 {
                1.0
            } else if wavelength > 8192.0 {
                8.0
            } else {
                let smooth = (8192.0 / wavelength - 1.0) / 3.0;
                1.0 / ((1.0 - smooth) / 8.0 + smooth)
            };
            divisor as f32
        })
        .collect()
}

#[test]
fn llama3_scaling_is_recovered_from_its_divisors() {
    let divisors = llama3_divisors();
    assert!(
        divisors
            .iter()
            .any(|divisor| *divisor > 1.0 && *divisor < 8.0)
    );
    let mut gguf = small_gguf("llama");
    gguf.tensor("rope_freqs.weight", TensorBytes::f32(&[8], divisors));
    let checkpoint = open_gguf(&gguf).unwrap();
    assert_eq!(
        checkpoint.config()["rope_scaling"],
        json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        })
    );
    assert!(checkpoint.info("rope_freqs.weight").is_none());
}

#[test]
fn divisors_of_another_rule_are_refused() {
    let mut divisors = llama3_divisors();
    divisors[3] *= 1.5;
    let mut gguf = small_gguf("llama");
    gguf.tensor(
        "rope_freqs.weight",
        TensorBytes::f32(&[8], divisors.clone()),
    );
    assert!(message(&gguf).contains("rope_freqs.weight"));
    divisors[3] = f32::NAN;
    gguf.tensor("rope_freqs.weight", TensorBytes::f32(&[8], divisors));
    assert!(message(&gguf).contains("rope_freqs.weight"));
    gguf.tensor("rope_freqs.weight", TensorBytes::zeros_f32(&[7]));
    assert!(message(&gguf).contains("must hold 8 numbers"));
}

#[test]
fn divisors_of_one_mean_no_scaling() {
    let mut gguf = small_gguf("llama");
    gguf.tensor("rope_freqs.weight", TensorBytes::f32(&[8], [1.0; 8]));
    assert_eq!(config(&gguf).get("rope_scaling"), None);
}
