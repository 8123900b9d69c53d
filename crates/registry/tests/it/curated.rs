//! The curated list is sound.

use std::collections::BTreeSet;

use model_arch::DecoderSpec;
use registry::{Capability, ModelEntry, Origin, Registry, Runs};

fn models() -> Vec<ModelEntry> {
    let registry = Registry::built_in().unwrap();
    registry.models().cloned().collect()
}

#[test]
fn every_entry_is_complete() {
    for model in models() {
        let name = &model.name;
        let repo = model.repo().unwrap();
        assert_eq!(repo.split('/').count(), 2, "{name}");
        assert!(model.family.is_some(), "{name}");
        assert!(model.model_type.is_some(), "{name}");
        assert!(model.parameters.is_some(), "{name}");
        assert!(model.license.is_some(), "{name}");
        assert!(model.kv_cache.is_some(), "{name}");
        assert!(!model.capabilities.is_empty(), "{name}");
        assert!(!model.tags.is_empty(), "{name}");
        assert_eq!(model.origin, Origin::BuiltIn);
        assert_eq!(model.facts().context, model.context, "{name}");
        model.configuration("somewhere").validate().unwrap();
        let estimate = model.memory_estimate(model.context.unwrap()).unwrap();
        assert!(
            estimate.weight_bytes > model.parameters.unwrap() / 4,
            "{name}"
        );
    }
}

#[test]
fn parameters_are_what_the_architecture_amounts_to() {
    let mut checked = 0;
    for model in models() {
        if let Ok(spec) = DecoderSpec::from_config(&model.config) {
            assert_eq!(model.parameters, Some(spec.parameters()), "{}", model.name);
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked}");
}

#[test]
fn whether_it_runs_is_what_model_arch_says() {
    let known: BTreeSet<&str> = model_arch::known_model_types().collect();
    for model in models() {
        let model_type = model.model_type.as_deref().unwrap();
        let generates = !model.capabilities.contains(&Capability::Embeddings);
        let expected = generates && known.contains(model_type);
        assert_eq!(model.runs.is_yes(), expected, "{}", model.name);
        if let Runs::NotYet { reason } = &model.runs {
            let by_type = reason.contains(&format!("{model_type:?}"));
            assert!(by_type || !generates, "{}: {reason}", model.name);
        }
        assert_ne!(model.runs, Runs::Unknown, "{}", model.name);
    }
}

#[test]
fn sizes_tell_what_they_say_in_the_repositorys_name() {
    for model in models() {
        let repo = model.repo().unwrap();
        let bits = model.quantization.map(|quantization| quantization.bits);
        if repo.contains("-4bit") {
            assert_eq!(bits, Some(4), "{repo}");
        } else {
            assert_eq!(bits, None, "{repo}");
        }
    }
}

#[test]
fn the_families_that_people_ask_for_are_there() {
    let there: BTreeSet<String> = models()
        .into_iter()
        .filter_map(|model| model.family)
        .collect();
    for family in [
        "SmolLM",
        "SmolLM2",
        "SmolLM3",
        "Qwen2.5",
        "Qwen3",
        "Llama 3.2",
        "Mistral",
        "Phi",
        "Gemma 2",
        "Gemma 3",
        "gpt-oss",
    ] {
        assert!(there.contains(family), "{family}");
    }
    let embeddings = models()
        .into_iter()
        .filter(|model| model.capabilities.contains(&Capability::Embeddings));
    assert!(embeddings.count() >= 3);
}

#[test]
fn repositories_occur_once() {
    let models = models();
    let repos: BTreeSet<_> = models.iter().map(|model| model.repo()).collect();
    assert_eq!(repos.len(), models.len());
}

#[test]
fn an_entry_becomes_json_and_a_configuration() {
    let registry = Registry::built_in().unwrap();
    let model = registry.get("qwen3-0.6b").unwrap();
    let json = serde_json::to_value(model).unwrap();
    assert_eq!(
        json["place"]["hub"]["repo"],
        "mlx-community/Qwen3-0.6B-4bit"
    );
    assert_eq!(json["runs"]["state"], "yes");
    assert_eq!(json["generate"]["top_k"], 20);
    let configuration = model.configuration("/models/q");
    assert_eq!(configuration.name, "qwen3-0.6b");
    assert_eq!(configuration.generate.top_k, Some(20));
    assert_eq!(configuration.generate.temperature, 0.6);
    // 4 bits, and 32 more for each group of 64.
    let estimate = configuration.memory_estimate(1000).unwrap();
    assert_eq!(estimate.weight_bytes, 596_049_920 * 9 / 16);
    assert_eq!(estimate.kv_bytes, 1000 * 2 * 28 * 8 * 128 * 2);
}
