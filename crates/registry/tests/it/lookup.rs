//! Names, and what was meant.

use registry::{Registry, RegistryError};

fn registry() -> Registry {
    Registry::built_in().unwrap()
}

#[test]
fn a_model_is_found_by_name_and_by_repository_in_any_case() {
    let registry = registry();
    for name in [
        "qwen3-0.6b",
        "Qwen3-0.6B",
        " qwen3-0.6b ",
        "mlx-community/Qwen3-0.6B-4bit",
        "MLX-Community/qwen3-0.6b-4bit",
    ] {
        assert_eq!(registry.get(name).unwrap().name, "qwen3-0.6b", "{name}");
    }
}

#[test]
fn an_unknown_name_gives_the_closest() {
    let registry = registry();
    for (wrong, meant) in [
        ("qwen3-06b", "qwen3-0.6b"),
        ("qwen3:0.6b", "qwen3-0.6b"),
        ("lama-3.2-1b", "llama-3.2-1b"),
        ("mlx-community/SmolLM3-3B-4bt", "smollm3-3b"),
        ("gpt-os-20b", "gpt-oss-20b"),
    ] {
        let error = registry.get(wrong).unwrap_err();
        let RegistryError::UnknownModel { name, closest } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(name, wrong);
        assert_eq!(closest[0], meant, "{wrong}: {closest:?}");
        assert!(closest.len() <= 3);
        assert!(error.suggestion().contains(meant), "{}", error.suggestion());
    }
}

#[test]
fn what_is_like_nothing_gets_no_guess() {
    let error = registry().get("xyzzy").unwrap_err();
    assert!(matches!(&error, RegistryError::UnknownModel { closest, .. } if closest.is_empty()));
    assert!(error.suggestion().contains("mlxengine models list"));
    assert_eq!(error.to_string(), "no model is called \"xyzzy\"");
}
