//! Safetensors files: damage, shards and indexes.

use std::fs;

use model_files::{Checkpoint, Dtype, FilesError};
use serde_json::json;
use tempfile::TempDir;

use crate::fixtures::{error, index, model_folder, write, write_safetensors};

/// A folder whose weights are two shards with an index.
fn sharded_folder() -> TempDir {
    let folder = model_folder();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    write_safetensors(
        &folder.path().join("a.safetensors"),
        &[("x", 1.0), ("y", 2.0)],
    );
    write_safetensors(&folder.path().join("b.safetensors"), &[("z", 3.0)]);
    let map = json!({ "x": "a.safetensors", "y": "a.safetensors", "z": "b.safetensors" });
    write(folder.path(), "model.safetensors.index.json", index(&map));
    folder
}

fn first_number(checkpoint: &Checkpoint, name: &str) -> f32 {
    let tensor = checkpoint.read(name).unwrap();
    f32::from_le_bytes(tensor.data[..4].try_into().unwrap())
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint
        .tensors()
        .map(|info| info.name.as_str())
        .collect()
}

/// A safetensors file with this header and so many bytes of data.
fn file_with_header(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

#[test]
fn shards_are_joined_by_the_index() {
    let folder = sharded_folder();
    write_safetensors(
        &folder.path().join("model-unlisted.safetensors"),
        &[("w", 9.0)],
    );
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(names(&checkpoint), ["x", "y", "z"]);
    assert_eq!(first_number(&checkpoint, "y"), 2.0);
    assert_eq!(first_number(&checkpoint, "z"), 3.0);
}

#[test]
fn without_an_index_files_named_model_are_read_and_others_left() {
    let folder = model_folder();
    write_safetensors(&folder.path().join("model-2.safetensors"), &[("more", 4.0)]);
    write_safetensors(
        &folder.path().join("adapters.safetensors"),
        &[("lora", 5.0)],
    );
    write(
        folder.path(),
        "._model.safetensors",
        "a companion file of macOS",
    );
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(
        names(&checkpoint),
        ["lm_head.weight", "model.norm.weight", "more"]
    );
}

#[test]
fn without_files_named_model_any_will_do() {
    let folder = model_folder();
    fs::rename(
        folder.path().join("model.safetensors"),
        folder.path().join("weights.safetensors"),
    )
    .unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.tensors().count(), 2);
}

#[test]
fn the_same_tensor_in_two_files_is_refused() {
    let folder = model_folder();
    write_safetensors(
        &folder.path().join("model-2.safetensors"),
        &[("lm_head.weight", 4.0)],
    );
    let message = error(folder.path()).to_string();
    assert!(message.contains("lm_head.weight"), "{message}");
}

#[test]
fn the_index_decides_between_two_files() {
    let folder = sharded_folder();
    write_safetensors(
        &folder.path().join("b.safetensors"),
        &[("z", 3.0), ("x", 7.0)],
    );
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(first_number(&checkpoint, "x"), 1.0);
}

#[test]
fn a_shard_that_the_index_names_must_be_there() {
    let folder = sharded_folder();
    fs::remove_file(folder.path().join("b.safetensors")).unwrap();
    let error = error(folder.path());
    assert!(
        matches!(&error, FilesError::Missing { path, .. } if path.ends_with("b.safetensors")),
        "{error}"
    );
    assert!(error.to_string().contains("index"), "{error}");
}

#[test]
fn a_shard_must_hold_what_the_index_says() {
    let folder = sharded_folder();
    write_safetensors(&folder.path().join("b.safetensors"), &[("other", 3.0)]);
    let message = error(folder.path()).to_string();
    assert!(
        message.contains("b.safetensors holds the tensor z"),
        "{message}"
    );
}

#[test]
fn the_index_can_not_lead_out_of_the_folder() {
    let outside = model_folder();
    let absolute = outside.path().join("model.safetensors");
    for file in [
        "../model.safetensors",
        "a/../../model.safetensors",
        "./model.safetensors",
        "",
        absolute.to_str().unwrap(),
    ] {
        let folder = model_folder();
        let map = json!({ "lm_head.weight": file });
        write(folder.path(), "model.safetensors.index.json", index(&map));
        let message = error(folder.path()).to_string();
        assert!(message.contains("inside the folder"), "{file}: {message}");
    }
}

#[test]
fn shards_may_lie_in_folders_below() {
    let folder = model_folder();
    fs::create_dir(folder.path().join("sub")).unwrap();
    write_safetensors(&folder.path().join("sub/a.safetensors"), &[("x", 6.0)]);
    let map = json!({ "x": "sub/a.safetensors" });
    write(folder.path(), "model.safetensors.index.json", index(&map));
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(first_number(&checkpoint, "x"), 6.0);
}

#[test]
fn an_index_must_name_files() {
    for content in [
        "{}".to_owned(),
        index(&json!({})),
        index(&json!(["x"])),
        index(&json!({ "x": 3 })),
    ] {
        let folder = model_folder();
        write(folder.path(), "model.safetensors.index.json", &content);
        let error = error(folder.path());
        assert!(
            matches!(&error, FilesError::Malformed { path, .. }
                if path.ends_with("model.safetensors.index.json")),
            "{content}: {error}"
        );
    }
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let folder = model_folder();
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = error(folder.path());
        assert!(
            matches!(&error, FilesError::Malformed { path, .. } if path.ends_with("model.safetensors")),
            "{length}: {error}"
        );
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let folder = model_folder();
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(error(folder.path()), FilesError::Malformed { .. }));
}

#[test]
fn headers_that_do_not_describe_the_data_are_refused() {
    let tensor = |dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}}}"#)
    };
    let huge = u64::MAX - 1;
    for header in [
        "not json".to_owned(),
        "[]".to_owned(),
        tensor("F32", "[2]", 0, 4),
        tensor("F32", "[1]", 4, 8),
        tensor("F99", "[2]", 0, 8),
        tensor("F32", "[-2]", 0, 8),
        tensor("F32", "[4294967296, 4294967296, 4]", 0, 8),
        // The sum of the lengths would overflow.
        tensor("U8", &format!("[{huge}]"), 0, huge),
        r#"{"x":{"dtype":"F32","shape":[2]}}"#.to_owned(),
    ] {
        let folder = model_folder();
        write(
            folder.path(),
            "model.safetensors",
            file_with_header(&header, 8),
        );
        let error = error(folder.path());
        assert!(
            matches!(&error, FilesError::Malformed { .. }),
            "{header}: {error}"
        );
    }
}

#[test]
fn a_header_length_beyond_the_file_is_refused() {
    for length in [9_u64, 100_000_001, u64::MAX] {
        let folder = model_folder();
        let mut file = length.to_le_bytes().to_vec();
        file.extend(b"{}      ");
        write(folder.path(), "model.safetensors", file);
        let message = error(folder.path()).to_string();
        assert!(message.contains(&length.to_string()), "{message}");
    }
}

#[test]
fn types_without_a_size_are_listed_and_read_as_bytes() {
    let folder = model_folder();
    let header = r#"{"x":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#;
    write(
        folder.path(),
        "model.safetensors",
        file_with_header(header, 8),
    );
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let tensor = checkpoint.read("x").unwrap();
    assert_eq!(tensor.info.dtype, Dtype::Other("F8_E4M3"));
    assert_eq!(tensor.info.dtype.to_string(), "F8_E4M3");
    assert_eq!(tensor.info.byte_len(), None);
    assert_eq!(tensor.data.len(), 8);
}

#[cfg(unix)]
#[test]
fn weights_may_be_links_into_a_cache() {
    let cache = model_folder();
    let folder = model_folder();
    let path = folder.path().join("model.safetensors");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(cache.path().join("model.safetensors"), &path).unwrap();
    assert_eq!(
        Checkpoint::open(folder.path()).unwrap().tensors().count(),
        2
    );
}
