//! Sizes from a description alone.

use serde_json::json;

use super::spec;

/// The tables and projections of the usual test model, which can be packed.
const MATRICES: u64 = 100 * 64 * 2 + 2 * (2 * 64 * 64 + 2 * 16 * 64 + 3 * 64 * 96);
const NORMS: u64 = 5 * 64;

#[test]
fn parameters_are_the_elements_of_all_tensors() {
    assert_eq!(spec("llama", json!({})).parameters(), MATRICES + NORMS);
    let tied = spec("llama", json!({"tie_word_embeddings": true}));
    assert_eq!(tied.parameters(), MATRICES - 100 * 64 + NORMS);
    // One norm for queries and one for keys in each layer.
    assert_eq!(
        spec("qwen3", json!({})).parameters(),
        MATRICES + NORMS + 2 * 2 * 8
    );
}

#[test]
fn unpacked_weights_take_their_elements() {
    let spec = spec("llama", json!({}));
    assert_eq!(spec.weight_bytes(2), 2 * spec.parameters());
    assert_eq!(spec.weight_bytes(4), 4 * spec.parameters());
}

#[test]
fn packed_weights_take_their_bits_and_two_numbers_a_group() {
    let plan = json!({"quantization": {"group_size": 32, "bits": 4}});
    let packed = spec("llama", plan);
    let expected = |element: u64| MATRICES / 2 + MATRICES / 32 * 2 * element + NORMS * element;
    assert_eq!(packed.weight_bytes(2), expected(2));
    assert_eq!(packed.weight_bytes(4), expected(4));
}

#[test]
fn modules_that_the_plan_excepts_are_counted_as_they_are() {
    let plan = json!({"quantization": {
        "group_size": 32, "bits": 4, "lm_head": false,
        "model.embed_tokens": {"group_size": 64, "bits": 8},
    }});
    let all_alike = spec(
        "llama",
        json!({"quantization": {"group_size": 32, "bits": 4}}),
    );
    let table = 100 * 64;
    let four_bits = table / 2 + table / 32 * 4;
    let eight_bits = table + table / 64 * 4;
    assert_eq!(
        spec("llama", plan).weight_bytes(2),
        all_alike.weight_bytes(2) - 2 * four_bits + eight_bits + table * 2
    );
}
