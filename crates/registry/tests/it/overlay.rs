//! A user's own list.

use std::path::Path;

use proptest::prelude::*;
use registry::{Origin, Place, Registry, RegistryError, Runs};

fn overlaid(text: &str) -> Result<Registry, RegistryError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    std::fs::write(&path, text).unwrap();
    let mut registry = Registry::built_in().unwrap();
    registry.overlay(&path)?;
    Ok(registry)
}

#[test]
fn a_name_and_a_place_are_enough() {
    let registry = overlaid(
        "[[model]]\nname = \"mine\"\nrepo = \"me/mine\"\nrevision = \"v1\"\n\
         [[model]]\nname = \"here\"\npath = \"/models/here\"\n",
    )
    .unwrap();
    let mine = registry.get("mine").unwrap();
    assert!(matches!(&mine.place, Place::Hub { revision: Some(v), .. } if v == "v1"));
    assert!(matches!(&mine.origin, Origin::File { path } if path.ends_with("models.toml")));
    assert_eq!((mine.parameters, &mine.runs), (None, &Runs::Unknown));
    assert_eq!(mine.memory_estimate(1), None);
    let here = registry.get("here").unwrap();
    assert_eq!(here.repo(), None);
    assert!(matches!(&here.place, Place::Local { path } if path == Path::new("/models/here")));
    assert!(registry.get("qwen3-0.6b").is_ok());
}

#[test]
fn a_known_name_is_replaced_and_other_lists_stay_as_they_are() {
    let registry = overlaid("[[model]]\nname = \"qwen3-0.6b\"\nrepo = \"me/better\"\n").unwrap();
    assert_eq!(
        registry.get("qwen3-0.6b").unwrap().repo(),
        Some("me/better")
    );
    let built_in = Registry::built_in().unwrap();
    assert_eq!(registry.models().len(), built_in.models().len());
    assert_ne!(
        built_in.get("qwen3-0.6b").unwrap().repo(),
        Some("me/better")
    );
}

#[test]
fn the_architecture_fills_in_what_is_left_out() {
    let registry = overlaid(
        r#"
        [[model]]
        name = "mine"
        repo = "me/mine"
        quantization = { bits = 8, group_size = 32 }
        [model.config]
        model_type = "llama"
        hidden_size = 576
        num_hidden_layers = 30
        intermediate_size = 1536
        num_attention_heads = 9
        num_key_value_heads = 3
        rms_norm_eps = 1e-5
        vocab_size = 49152
        max_position_embeddings = 2048
        "#,
    )
    .unwrap();
    let mine = registry.get("mine").unwrap();
    assert_eq!(mine.parameters, Some(134_515_008));
    assert_eq!(mine.context, Some(2048));
    assert!(mine.runs.is_yes());
}

#[test]
fn what_does_not_belong_there_is_refused_with_its_place() {
    for (text, said) in [
        ("[[model]]\nname = 1\nrepo = \"a/b\"", "name = 1"),
        (
            "[[model]]\nname = \"a\"\nrepo = \"a/b\"\nquantisation = 4",
            "quantisation",
        ),
        ("[[models]]\nname = \"a\"", "models"),
        ("[[model]]\nrepo = \"a/b\"", "name"),
        (
            "[[model]]\nname = \"a\"\nrepo = \"a/b\"\ncapabilities = [\"magic\"]",
            "magic",
        ),
        (
            "[[model]]\nname = \"a\"\nrepo = \"a/b\"\ngenerate = { temprature = 1 }",
            "temprature",
        ),
        ("not toml", "not toml"),
    ] {
        let error = overlaid(text).unwrap_err();
        assert!(
            matches!(error, RegistryError::Malformed { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.suggestion().is_empty());
    }
}

#[test]
fn values_that_cant_be_are_refused_by_name() {
    let entry = |rest: &str| format!("[[model]]\nname = \"a\"\nrepo = \"a/b\"\n{rest}");
    for (text, wrong) in [
        (
            "[[model]]\nname = \"A b\"\nrepo = \"a/b\"".to_owned(),
            "name",
        ),
        (
            "[[model]]\nname = \"a/b\"\nrepo = \"a/b\"".to_owned(),
            "name",
        ),
        ("[[model]]\nname = \"\"\nrepo = \"a/b\"".to_owned(), "name"),
        ("[[model]]\nname = \"a\"".to_owned(), "repo"),
        (
            "[[model]]\nname = \"a\"\nrepo = \"a/b/c\"".to_owned(),
            "repo",
        ),
        (
            "[[model]]\nname = \"a\"\npath = \"/a\"\nrevision = \"v1\"".to_owned(),
            "repo",
        ),
        (entry("path = \"/a\""), "repo"),
        (entry("parameters = 0"), "parameters"),
        (entry("context = 0"), "context"),
        (entry("bits_per_weight = 0.0"), "bits_per_weight"),
        (entry("bits_per_weight = nan"), "bits_per_weight"),
        (
            entry("quantization = { bits = 7, group_size = 64 }"),
            "quantization",
        ),
        (entry("generate = { temperature = -1 }"), "temperature"),
        (entry("[[model]]\nname = \"a\"\nrepo = \"a/c\""), "name"),
    ] {
        let error = overlaid(&text).unwrap_err();
        let RegistryError::InvalidEntry { field, .. } = &error else {
            panic!("{text}: {error:?}");
        };
        assert_eq!(*field, wrong, "{text}");
        assert!(error.to_string().contains("models.toml"), "{error}");
    }
}

#[test]
fn a_faulty_list_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    let text = "[[model]]\nname = \"good\"\nrepo = \"a/b\"\n[[model]]\nname = \"bad\"\n";
    std::fs::write(&path, text).unwrap();
    let mut registry = Registry::built_in().unwrap();
    registry.overlay(&path).unwrap_err();
    assert!(registry.get("good").is_err());
}

#[test]
fn a_list_that_is_not_there_is_named() {
    let error = Registry::default().overlay(Path::new("/no/such/list.toml"));
    let error = error.unwrap_err();
    assert!(matches!(error, RegistryError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/list.toml"), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[\\[model\\]\\]\n)?(name|repo|config|context|quantization) ?= ?\\PC{0,40}") {
        let _ = overlaid(&text);
    }
}
