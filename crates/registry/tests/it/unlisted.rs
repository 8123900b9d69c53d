//! Models that are in no list.

use registry::{Capability, CardFacts, ModelEntry, Origin, Place};
use serde_json::{Map, Value, json};

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn hub() -> Place {
    Place::Hub {
        repo: "org/My-Model-4bit".to_owned(),
        revision: None,
    }
}

#[test]
fn an_entry_is_made_of_the_models_own_files() {
    let config = map(&json!({
        "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28,
        "intermediate_size": 3072, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 128, "rms_norm_eps": 1e-6, "vocab_size": 151_936,
        "max_position_embeddings": 40960, "rope_theta": 1_000_000, "tie_word_embeddings": true,
        "quantization": {"group_size": 64, "bits": 4},
    }));
    let generation = map(&json!({"temperature": 0.6, "top_k": 20}));
    let card = CardFacts {
        license: Some("apache-2.0".to_owned()),
        task: Some("text-generation".to_owned()),
        tags: vec!["mlx".to_owned(), "conversational".to_owned()],
        base_models: vec!["org/Base".to_owned()],
    };
    let entry = ModelEntry::from_files(hub(), config, Some(&generation), &card);
    assert_eq!(entry.name, "My-Model-4bit");
    assert_eq!(entry.parameters, Some(596_049_920));
    assert_eq!(entry.context, Some(40_960));
    assert_eq!(entry.license.as_deref(), Some("apache-2.0"));
    assert_eq!(entry.capabilities, [Capability::Chat]);
    assert!(entry.tags.contains(&"base_model:org/Base".to_owned()));
    assert!(entry.runs.is_yes());
    assert_eq!(entry.origin, Origin::Model);
    let configuration = entry.configuration("/models/m");
    configuration.validate().unwrap();
    assert_eq!(configuration.generate.top_k, Some(20));
    assert_eq!(
        configuration.memory_estimate(4096),
        entry.memory_estimate(4096)
    );
}

#[test]
fn embeddings_do_not_run_and_a_bare_model_says_little() {
    let card = CardFacts {
        task: Some("feature-extraction".to_owned()),
        ..CardFacts::default()
    };
    let entry = ModelEntry::from_files(hub(), map(&json!({"model_type": "bert"})), None, &card);
    assert_eq!(entry.capabilities, [Capability::Embeddings]);
    assert!(!entry.runs.is_yes());
    assert_eq!(entry.generate, registry::Recommended::default());
    let place = Place::Local {
        path: "/models/thing".into(),
    };
    let entry = ModelEntry::from_files(place, Map::new(), None, &CardFacts::default());
    assert_eq!(entry.name, "thing");
    assert_eq!(entry.memory_estimate(1), None);
}
