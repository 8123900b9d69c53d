//! What a name means.

use std::path::Path;

use mlxengine::{
    NamedModel, StoreError,
    hub::Revision,
    registry::{Registry, RegistryError},
};

use super::registry;

fn find(name: &str) -> Result<NamedModel, StoreError> {
    NamedModel::find(name, &Registry::built_in().unwrap())
}

#[track_caller]
fn on_hub(name: &str, repo: &str, revision: &str) {
    let model = find(name).unwrap();
    let (found, at) = model.on_hub().unwrap();
    assert_eq!((found.as_str(), at.as_str()), (repo, revision), "{name}");
}

#[test]
fn a_registry_name_is_its_repository() {
    on_hub("qwen3-0.6b", "mlx-community/Qwen3-0.6B-4bit", "main");
    on_hub(" Qwen3-0.6B@v1 ", "mlx-community/Qwen3-0.6B-4bit", "v1");
    let model = find("qwen3-0.6b").unwrap();
    assert_eq!(model.entry().unwrap().family.as_deref(), Some("Qwen3"));
    assert_eq!(model.to_string(), "mlx-community/Qwen3-0.6B-4bit");
}

#[test]
fn an_organisation_makes_it_a_repository() {
    on_hub("org/name", "org/name", "main");
    on_hub("org/name@refs/pr/1", "org/name", "refs/pr/1");
    assert_eq!(find("org/name@v1").unwrap().to_string(), "org/name@v1");
    assert!(find("org/name").unwrap().entry().is_none());
    // A listed repository is known under its full name too.
    let listed = find("mlx-community/Qwen3-0.6B-4bit").unwrap();
    assert!(listed.entry().is_some());
}

#[test]
fn what_exists_or_looks_like_a_path_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().to_str().unwrap();
    for name in [
        there,
        "/no/such/model",
        "./org/name",
        "../x.gguf",
        "~/models/x",
    ] {
        let model = find(name).unwrap();
        assert!(matches!(&model, NamedModel::Local { path, .. } if path == Path::new(name)));
        assert!(matches!(model.on_hub(), Err(StoreError::Local { .. })));
    }
}

#[test]
fn a_misspelt_name_is_told_what_was_meant() {
    let error = find("qwen3-06b").unwrap_err();
    assert!(matches!(
        error,
        StoreError::Registry(RegistryError::UnknownModel { .. })
    ));
    assert!(
        error.suggestion().contains("qwen3-0.6b"),
        "{}",
        error.suggestion()
    );
}

#[test]
fn what_can_be_no_name_is_refused() {
    for name in [
        "",
        "a/b/c",
        "org/na me",
        "org/name@",
        "org/name@a..b",
        "https://x/y",
    ] {
        let error = find(name).unwrap_err();
        assert!(!error.to_string().is_empty(), "{name}");
        assert!(!error.suggestion().is_empty(), "{name}");
    }
}

#[test]
fn a_users_entry_may_pin_a_revision_or_be_a_folder() {
    let registry = registry(
        "[[model]]\nname = \"pinned\"\nrepo = \"me/m\"\nrevision = \"v2\"\n\
         [[model]]\nname = \"here\"\npath = \"/models/here\"\n",
    );
    let find = |name| NamedModel::find(name, &registry).unwrap();
    assert_eq!(find("pinned").to_string(), "me/m@v2");
    assert_eq!(find("pinned@v3").to_string(), "me/m@v3");
    assert_eq!(find("pinned").at(Revision::main()).to_string(), "me/m");
    let here = find("here");
    assert!(matches!(&here, NamedModel::Local { entry: Some(entry), .. } if entry.name == "here"));
}
