//! Folders: what is read, and one clear error for each way in which they can be incomplete.

use std::fs;

use model_files::{Checkpoint, Dtype, FilesError, Format};
use serde_json::json;
use tempfile::TempDir;

use crate::fixtures::{error, model_folder, write};

#[test]
fn reads_a_complete_folder() {
    let folder = model_folder();
    write(
        folder.path(),
        "generation_config.json",
        r#"{"eos_token_id": [1, 2]}"#,
    );
    write(
        folder.path(),
        "special_tokens_map.json",
        r#"{"eos_token": "</s>"}"#,
    );
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.format(), Format::Safetensors);
    assert_eq!(checkpoint.path(), folder.path());
    assert_eq!(checkpoint.config()["model_type"], "llama");
    assert_eq!(
        checkpoint.generation_config().unwrap()["eos_token_id"],
        json!([1, 2])
    );
    let text = checkpoint.text();
    assert_eq!(text.tokenizer_json, r#"{"version": "1.0"}"#);
    assert_eq!(
        text.special_tokens_map.as_ref().unwrap()["eos_token"],
        "</s>"
    );
    assert_eq!(text.tokenizer_config, None);
    let names: Vec<_> = checkpoint
        .tensors()
        .map(|info| info.name.as_str())
        .collect();
    assert_eq!(names, ["lm_head.weight", "model.norm.weight"]);
    assert_eq!(checkpoint.weight_bytes(), 16);
    let tensor = checkpoint.read("model.norm.weight").unwrap();
    assert_eq!(tensor.info.shape, [2]);
    assert_eq!(tensor.info.dtype, Dtype::F32);
    assert_eq!(
        *tensor.data,
        [1_f32.to_le_bytes(), 1_f32.to_le_bytes()].concat()
    );
    assert!(matches!(tensor.data, std::borrow::Cow::Borrowed(_)));
}

#[test]
fn optional_files_are_optional() {
    let folder = model_folder();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.generation_config(), None);
    assert_eq!(checkpoint.text().chat_template, None);
}

#[test]
fn a_missing_tensor_is_named() {
    let folder = model_folder();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let error = checkpoint.read("model.embed_tokens.weight").unwrap_err();
    assert!(
        matches!(&error, FilesError::TensorNotFound { tensor, .. } if tensor == "model.embed_tokens.weight"),
        "{error}"
    );
}

#[test]
fn a_path_that_leads_nowhere_is_not_found() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(
        error(&folder.path().join("none")),
        FilesError::NotFound { .. }
    ));
    let file = write(folder.path(), "file", "x");
    assert!(matches!(
        error(&file.join("below")),
        FilesError::NotFound { .. }
    ));
}

#[test]
fn files_that_must_be_there_are_named_when_missing() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = model_folder();
        fs::remove_file(folder.path().join(name)).unwrap();
        let error = error(folder.path());
        assert!(
            matches!(&error, FilesError::Missing { path, .. } if path.ends_with(name)),
            "{name}: {error}"
        );
    }
}

#[test]
fn every_json_file_must_be_a_whole_object() {
    for name in [
        "config.json",
        "tokenizer.json",
        "generation_config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "model.safetensors.index.json",
    ] {
        let deep = "[".repeat(100_000);
        for content in [
            "",
            "{\"a\": 1",
            "garbage",
            "[1, 2]",
            "{\"a\": 1}}",
            "{\"a\": \u{1}}",
            &deep,
        ] {
            let folder = model_folder();
            write(folder.path(), name, content);
            let error = error(folder.path());
            assert!(
                matches!(&error, FilesError::Malformed { path, .. } if path.ends_with(name)),
                "{name} = {}: {error}",
                &content[..content.len().min(20)]
            );
        }
        let folder = model_folder();
        write(folder.path(), name, [0xff, 0xfe, 0x00]);
        let message = error(folder.path()).to_string();
        assert!(
            message.contains(name) && message.contains("UTF-8"),
            "{message}"
        );
    }
}

#[test]
fn git_lfs_pointers_are_recognised_in_place_of_any_file() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "model.safetensors",
        "model.safetensors.index.json",
    ] {
        let folder = model_folder();
        write(folder.path(), name, pointer);
        let error = error(folder.path());
        assert!(
            matches!(&error, FilesError::LfsPointer { path } if path.ends_with(name)),
            "{name}: {error}"
        );
        assert!(error.suggestion().contains("git lfs pull"));
    }
    let folder = TempDir::new().unwrap();
    let file = write(folder.path(), "model.gguf", pointer);
    assert!(matches!(error(&file), FilesError::LfsPointer { .. }));
}

#[test]
fn pickles_are_named_and_not_read() {
    let folder = model_folder();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    write(folder.path(), "pytorch_model.bin", "x");
    let error = error(folder.path());
    assert!(
        matches!(&error, FilesError::PicklesOnly { found, .. } if found == "pytorch_model.bin"),
        "{error}"
    );
}

#[test]
fn a_file_of_another_kind_is_refused_by_its_content() {
    let folder = model_folder();
    for name in ["model.safetensors", "config.json"] {
        assert!(matches!(
            error(&folder.path().join(name)),
            FilesError::UnknownFormat { .. }
        ));
    }
    let empty = write(folder.path(), "empty.gguf", "");
    assert!(matches!(error(&empty), FilesError::UnknownFormat { .. }));
}

#[test]
fn a_folder_in_place_of_a_file_is_refused() {
    for name in ["config.json", "model.safetensors"] {
        let folder = model_folder();
        fs::remove_file(folder.path().join(name)).unwrap();
        fs::create_dir(folder.path().join(name)).unwrap();
        let message = error(folder.path()).to_string();
        assert!(
            message.contains(name) && message.contains("not a file"),
            "{message}"
        );
    }
}

#[test]
fn the_template_file_wins_over_the_configured_one() {
    let folder = model_folder();
    write(
        folder.path(),
        "tokenizer_config.json",
        r#"{"chat_template": "configured"}"#,
    );
    let text = |folder: &TempDir| Checkpoint::open(folder.path()).unwrap().text().clone();
    assert_eq!(text(&folder).chat_template.unwrap(), "configured");
    write(folder.path(), "chat_template.jinja", "file\n");
    assert_eq!(text(&folder).chat_template.unwrap(), "file\n");
}

#[test]
fn named_templates_are_kept_beside_the_default() {
    let folder = model_folder();
    let templates = json!({ "chat_template": [
        { "name": "rag", "template": "r" },
        { "name": "default", "template": "d" },
        { "name": "tool_use", "template": "t" },
    ]});
    write(
        folder.path(),
        "tokenizer_config.json",
        templates.to_string(),
    );
    write(
        folder.path(),
        "additional_chat_templates/tool_use.jinja",
        "t2",
    );
    write(folder.path(), "additional_chat_templates/zzz.jinja", "z");
    write(
        folder.path(),
        "additional_chat_templates/notes.txt",
        "no template",
    );
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let text = checkpoint.text();
    assert_eq!(text.chat_template.as_deref(), Some("d"));
    let named: Vec<_> = text
        .additional_chat_templates
        .iter()
        .map(|named| (named.name.as_str(), named.template.as_str()))
        .collect();
    assert_eq!(named, [("rag", "r"), ("tool_use", "t2"), ("zzz", "z")]);
}

#[test]
fn templates_of_the_wrong_type_are_refused() {
    for template in [json!(3), json!(["x"]), json!([{ "name": "x" }])] {
        let folder = model_folder();
        let config = json!({ "chat_template": template });
        write(folder.path(), "tokenizer_config.json", config.to_string());
        let message = error(folder.path()).to_string();
        assert!(message.contains("chat_template must be"), "{message}");
    }
}

#[test]
fn a_failed_load_leaves_nothing_behind() {
    let folder = model_folder();
    fs::rename(
        folder.path().join("config.json"),
        folder.path().join("aside"),
    )
    .unwrap();
    error(folder.path());
    fs::rename(
        folder.path().join("aside"),
        folder.path().join("config.json"),
    )
    .unwrap();
    assert!(Checkpoint::open(folder.path()).is_ok());
}
