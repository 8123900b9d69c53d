//! Attention through a sliding window.

use engine_core::TokenId;
use serde_json::{Value, json};

use super::tiny::{Tiny, llama_config, load, rows_of};

const WINDOW: usize = 5;
/// Tokens that differ from prompt to prompt, then those that stay.
const LEN: usize = 150;

fn config(family: &str, layers: usize, changes: &Value) -> Value {
    let mut config = llama_config();
    config["model_type"] = family.into();
    config["num_hidden_layers"] = layers.into();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A prompt whose last `kept` tokens do not depend on `seed`.
fn prompt(seed: u32, kept: usize) -> Vec<TokenId> {
    let other = (0..(LEN - kept) as u32).map(|index| (index * 7 + seed * 13) % 250);
    let same = (0..kept as u32).map(|index| (index * 11 + 3) % 250);
    other.chain(same).collect()
}

fn logits(config: &Value, tokens: &[TokenId]) -> Vec<f32> {
    let folder = Tiny::new(config, safetensors::Dtype::F32).write();
    rows_of(&mut load(folder.path()), tokens).pop().unwrap()
}

/// One layer sees the window, and each further layer as many tokens more, less one.
#[test]
fn what_lies_before_the_window_has_no_part_in_the_answer() {
    let qwen = json!({
        "sliding_window": WINDOW, "use_sliding_window": true, "max_window_layers": 0
    });
    for (family, changes) in [
        ("mistral", json!({ "sliding_window": WINDOW })),
        ("qwen2", qwen),
    ] {
        for layers in [1, 2] {
            let config = config(family, layers, &changes);
            let seen = 1 + layers * (WINDOW - 1);
            let alike = [1, 2].map(|seed| logits(&config, &prompt(seed, seen)));
            assert_eq!(alike[0], alike[1], "{family}, {layers} layers");
            let apart = [1, 2].map(|seed| logits(&config, &prompt(seed, seen - 1)));
            assert_ne!(apart[0], apart[1], "{family}, {layers} layers");
        }
    }
}

#[test]
fn a_window_of_a_family_is_the_same_as_one_of_each_layer() {
    let family = config("mistral", 2, &json!({ "sliding_window": WINDOW }));
    let layers = json!({
        "sliding_window": WINDOW,
        "layer_types": ["sliding_attention", "sliding_attention"],
    });
    let prompt = prompt(1, 0);
    assert_eq!(
        logits(&family, &prompt),
        logits(&config("llama", 2, &layers), &prompt)
    );
}

#[test]
fn layers_before_max_window_layers_see_everything() {
    let with_first = json!({
        "sliding_window": WINDOW, "use_sliding_window": true, "max_window_layers": 1
    });
    let config = config("qwen2", 1, &with_first);
    let apart = [1, 2].map(|seed| logits(&config, &prompt(seed, 100)));
    assert_ne!(apart[0], apart[1]);
}
