//! A GGUF file written as a folder is the same model.

use std::{fs, path::Path};

use half::f16;
use model_files::{Checkpoint, Dtype, FilesError, convert_to_mlx_folder};
use tempfile::TempDir;

use crate::fixtures::{
    GgufBytes, HIDDEN, INNER, TensorBytes, gguf_file, json_of, small_gguf, write,
};

/// A model with tensors of all types that are presented, one of them with large scales.
fn mixed_gguf() -> GgufBytes {
    let mut gguf = small_gguf("llama");
    let block = |scale: f32, bytes: usize| {
        let mut block = f16::from_f32(scale).to_le_bytes().to_vec();
        block.resize(bytes, 0x35);
        block
    };
    let blocks = INNER * HIDDEN / 32;
    for (name, kind, block) in [
        ("ffn_up", 8, block(600.0, 34)),
        ("ffn_gate", 2, block(0.25, 18)),
    ] {
        gguf.tensor(
            &format!("blk.0.{name}.weight"),
            TensorBytes::new(kind, &[INNER, HIDDEN], block.repeat(blocks)),
        );
    }
    let halves = vec![0x3c; HIDDEN * INNER * 2];
    gguf.tensor(
        "blk.0.ffn_down.weight",
        TensorBytes::new(1, &[HIDDEN, INNER], halves.clone()),
    );
    gguf.tensor(
        "blk.0.attn_output.weight",
        TensorBytes::new(
            30,
            &[HIDDEN, HIDDEN],
            halves[..HIDDEN * HIDDEN * 2].to_vec(),
        ),
    );
    gguf
}

fn convert(gguf: &GgufBytes, out: &Path) -> Result<(), FilesError> {
    let (_folder, path) = gguf_file(&gguf.build());
    convert_to_mlx_folder(&path, out, &mut |_, _| {})
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_folder_presents_what_the_file_presents() {
    let (_folder, path) = gguf_file(&mixed_gguf().build());
    let file = Checkpoint::open(&path).unwrap();
    let out = TempDir::new().unwrap();
    let out = out.path().join("a/b/model");
    convert_to_mlx_folder(&path, &out, &mut |_, _| {}).unwrap();
    assert_eq!(
        entries(&out),
        [
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    let folder = Checkpoint::open(&out).unwrap();
    assert_eq!(folder.config(), file.config());
    assert_eq!(folder.generation_config(), file.generation_config());
    assert_eq!(folder.text().tokenizer_json, file.text().tokenizer_json);
    assert_eq!(folder.text().tokenizer_config, file.text().tokenizer_config);
    assert_eq!(folder.text().chat_template, file.text().chat_template);
    let mut compared = 0;
    for info in folder.tensors() {
        let ours = folder.read(&info.name).unwrap();
        let theirs = file.read(&info.name).unwrap();
        assert_eq!(ours.info, theirs.info);
        assert_eq!(ours.data, theirs.data, "{}", info.name);
        compared += 1;
    }
    assert_eq!(compared, file.tensors().count());
    let wide = folder.info("model.layers.0.mlp.up_proj.scales").unwrap();
    assert_eq!(wide.dtype, Dtype::F32);
}

#[test]
fn tensors_are_aligned_to_their_elements() {
    let out = TempDir::new().unwrap();
    convert(&mixed_gguf(), &out.path().join("model")).unwrap();
    let bytes = fs::read(out.path().join("model/model.safetensors")).unwrap();
    let (length, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0);
    for (name, info) in metadata.tensors() {
        let size = info.dtype.bitsize() / 8;
        assert_eq!(info.data_offsets.0 % size, 0, "{name}");
    }
    let marks = metadata.metadata().as_ref().unwrap();
    assert_eq!(marks["format"], "mlx");
}

#[test]
fn progress_runs_from_nothing_to_everything() {
    let (_folder, path) = gguf_file(&mixed_gguf().build());
    let out = TempDir::new().unwrap();
    let mut calls = Vec::new();
    convert_to_mlx_folder(&path, &out.path().join("model"), &mut |done, total| {
        calls.push((done, total));
    })
    .unwrap();
    let total = calls[0].1;
    assert!(total > 0);
    assert_eq!(calls.first(), Some(&(0, total)));
    assert_eq!(calls.last(), Some(&(total, total)));
    assert!(
        calls
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[1].1 == total)
    );
}

#[test]
fn an_empty_folder_may_be_there() {
    let out = TempDir::new().unwrap();
    convert(&small_gguf("qwen2"), out.path()).unwrap();
    assert!(out.path().join("config.json").exists());
}

#[test]
fn what_is_there_is_not_written_over() {
    let out = TempDir::new().unwrap();
    let file = write(out.path(), "notes.txt", "mine");
    for target in [out.path(), file.as_path()] {
        let error = convert(&small_gguf("llama"), target).unwrap_err();
        assert!(
            matches!(&error, FilesError::OutputNotEmpty { .. }),
            "{error}"
        );
        assert!(!error.suggestion().is_empty());
    }
    assert_eq!(entries(out.path()), ["notes.txt"]);
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let mut unreadable = small_gguf("llama");
    unreadable.tensor(
        "blk.0.ffn_up.weight",
        TensorBytes::new(20, &[INNER, HIDDEN], vec![0; INNER * HIDDEN / 32 * 18]),
    );
    let mut not_finite = small_gguf("llama");
    not_finite.tensor(
        "blk.0.ffn_up.weight",
        TensorBytes::new(3, &[INNER, HIDDEN], vec![0xff; INNER * HIDDEN / 32 * 20]),
    );
    for gguf in [unreadable, not_finite, GgufBytes::default()] {
        let out = TempDir::new().unwrap();
        assert!(convert(&gguf, &out.path().join("model")).is_err());
        assert!(entries(out.path()).is_empty());
    }
}

#[test]
fn the_folder_is_absent_until_it_is_whole() {
    let (_folder, path) = gguf_file(&small_gguf("llama").build());
    let out = TempDir::new().unwrap();
    let target = out.path().join("model");
    convert_to_mlx_folder(&path, &target, &mut |_, _| assert!(!target.exists())).unwrap();
    assert_eq!(entries(out.path()), ["model"]);
}

#[test]
fn a_folder_can_not_be_converted() {
    let folder = crate::fixtures::model_folder();
    let out = TempDir::new().unwrap();
    let error = convert_to_mlx_folder(folder.path(), &out.path().join("m"), &mut |_, _| {});
    assert!(matches!(error, Err(FilesError::UnknownFormat { .. })));
    assert!(entries(out.path()).is_empty());
}

#[test]
fn the_configuration_is_readable_text() {
    let out = TempDir::new().unwrap();
    convert(&small_gguf("qwen3"), &out.path().join("model")).unwrap();
    let text = fs::read_to_string(out.path().join("model/config.json")).unwrap();
    assert!(text.lines().count() > 10 && text.ends_with("}\n"));
    assert_eq!(json_of(&text)["model_type"], "qwen3");
}
