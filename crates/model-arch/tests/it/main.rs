//! Behaviour of model-arch through its public interface.

mod families;
mod hostile;
mod quantization;
mod rope;
mod sizes;

use model_arch::{ArchError, DecoderSpec};
use serde_json::{Value, json};

/// A complete configuration of a family, with some fields replaced; null removes one.
fn config(model_type: &str, changes: Value) -> Value {
    let mut config = json!({
        "model_type": model_type,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 96,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rms_norm_eps": 1e-6,
        "vocab_size": 100,
        "max_position_embeddings": 4096,
        "rope_theta": 20000.0,
        "tie_word_embeddings": false,
        "hidden_act": "silu",
    });
    if let Value::Object(changes) = changes {
        for (field, value) in changes {
            config[field] = value;
        }
    }
    config
}

fn read(config: &Value) -> Result<DecoderSpec, ArchError> {
    DecoderSpec::from_config(config.as_object().expect("a configuration is an object"))
}

fn spec(model_type: &str, changes: Value) -> DecoderSpec {
    read(&config(model_type, changes)).expect("the configuration is sound")
}

fn error(model_type: &str, changes: Value) -> ArchError {
    read(&config(model_type, changes)).expect_err("the configuration is faulty")
}

/// The message, with a check that it comes with advice.
fn message(model_type: &str, changes: Value) -> String {
    let error = error(model_type, changes);
    assert!(!error.suggestion().is_empty());
    error.to_string()
}
