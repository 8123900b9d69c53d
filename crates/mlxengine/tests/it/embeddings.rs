//! Texts as vectors, against what the library sentence-transformers makes of them.
//!
//! `tests/fixtures/embeddings/` holds two tiny models and their vectors; the script there made them.

use std::{fs, future::IntoFuture, path::PathBuf, sync::Arc};

use futures_executor::block_on;
use mlxengine::{
    Availability, Backend, ComputeType, InferenceEngine, ModelConfiguration, backends,
};
use serde::Deserialize;

/// The backends that are not made up.
const REAL: [&str; 2] = ["cpu", "mlx"];

/// A text, and what the library makes of it.
#[derive(Deserialize)]
struct Expected {
    text: String,
    tokens: usize,
    vector: Vec<f32>,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/embeddings")
        .join(name)
}

fn expected(name: &str) -> Vec<Expected> {
    let vectors = fs::read_to_string(folder(name).join("vectors.json")).unwrap();
    serde_json::from_str(&vectors).unwrap()
}

/// The backends of this build that can run here.
fn real_backends() -> Vec<Arc<dyn Backend>> {
    let mut ready = backends();
    ready.retain(|backend| {
        let name = backend.info().name;
        let is_ready = matches!(backend.availability(), Availability::Ready { .. });
        if REAL.contains(&name.as_str()) && !is_ready {
            println!("skipped: {name} can't run here");
        }
        REAL.contains(&name.as_str()) && is_ready
    });
    ready
}

fn load(name: &str, backend: Arc<dyn Backend>) -> InferenceEngine {
    let mut configuration = ModelConfiguration::from_path(folder(name));
    configuration.load.compute = ComputeType::F32;
    let load = InferenceEngine::load(configuration).with_backend(backend);
    block_on(load.into_future()).unwrap()
}

fn length(vector: &[f32]) -> f64 {
    let squares = vector.iter().map(|x| f64::from(*x).powi(2));
    squares.sum::<f64>().sqrt()
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let products = one.iter().zip(other);
    let dot: f64 = products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    dot / (length(one) * length(other))
}

/// The largest difference of two numbers, as a part of the vector's length.
fn error(got: &[f32], expected: &[f32]) -> f64 {
    let differences = got.iter().zip(expected);
    let largest = differences
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, f64::max);
    largest / length(expected)
}

/// How far a backend may be off: the most for one minus the cosine, and for the largest error.
///
/// MLX multiplies in f32 as the library does. `engine-cpu` rounds what it multiplies to 15 bits, and
/// keys and values to 16. Both keep a factor of at least four to what was measured.
fn bounds(backend: &str) -> (f64, f64) {
    match backend {
        "mlx" => (1e-10, 1e-5),
        _ => (5e-7, 1e-3),
    }
}

#[track_caller]
fn assert_same(got: &[f32], expected: &Expected, bounds: (f64, f64), what: &str) {
    let Expected { text, vector, .. } = expected;
    assert_eq!(got.len(), vector.len(), "{what}, {text:?}");
    let (cosine, error) = (cosine(got, vector), error(got, vector));
    assert!(
        1.0 - cosine < bounds.0 && error < bounds.1,
        "{what}, {text:?}: 1 - cosine is {:e}, the largest error {error:e}",
        1.0 - cosine
    );
}

fn embeds_as_the_library(name: &str) {
    let expected = expected(name);
    let texts = || expected.iter().map(|entry| entry.text.as_str());
    for backend in real_backends() {
        let bounds = bounds(&backend.info().name);
        let what = format!("{name} on {}", backend.info().name);
        let engine = load(name, backend);
        assert!(engine.capabilities().embeddings, "{what}");
        let together = block_on(engine.embed(texts())).unwrap();
        assert_eq!(together.vectors.len(), expected.len(), "{what}");
        let tokens: usize = expected.iter().map(|entry| entry.tokens).sum();
        assert_eq!(together.prompt_tokens, tokens, "{what}");
        for (vector, expected) in together.vectors.iter().zip(&expected) {
            assert_same(vector, expected, bounds, &what);
            let alone = block_on(engine.embed([expected.text.as_str()])).unwrap();
            let alone = &alone.vectors[0];
            assert_same(alone, expected, bounds, &format!("{what}, alone"));
        }
        block_on(engine.unload()).unwrap();
    }
}

#[test]
fn the_last_tokens_state_is_the_vector_and_has_length_one() {
    let name = "qwen3-last-token";
    for entry in expected(name) {
        assert!((length(&entry.vector) - 1.0).abs() < 1e-6, "{}", entry.text);
    }
    embeds_as_the_library(name);
}

#[test]
fn the_mean_of_all_states_is_the_vector() {
    embeds_as_the_library("qwen2-mean");
}

/// What the comparison can tell apart: no two texts have nearly the same vector.
#[test]
fn the_vectors_of_other_texts_are_far_off() {
    for name in ["qwen3-last-token", "qwen2-mean"] {
        let expected = expected(name);
        for (index, one) in expected.iter().enumerate() {
            for other in &expected[index + 1..] {
                let error = error(&one.vector, &other.vector);
                assert!(error > 0.01, "{name}: {:?}, {:?}", one.text, other.text);
            }
        }
    }
}
