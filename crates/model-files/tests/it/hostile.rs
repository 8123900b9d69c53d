//! Whatever the bytes: an error or a checkpoint that holds, never a panic.

use std::path::Path;

use model_files::{Checkpoint, gguf::Header};
use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use crate::fixtures::{TensorBytes, gguf_file, model_folder, small_gguf, write};

/// A change to a file's bytes.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    /// Eight bytes at once: counts, lengths and offsets are of this size.
    SetLong(Index, u64),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Truncate(Index),
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    let long = prop_oneof![
        any::<u64>(),
        0..300_u64,
        Just(u64::MAX),
        Just(u64::MAX / 2),
        Just(1 << 32),
    ];
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        4 => (any::<Index>(), long).prop_map(|(at, long)| Mutation::SetLong(at, long)),
        1 => (any::<Index>(), 1..64_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (any::<Index>(), proptest::collection::vec(any::<u8>(), 1..64))
            .prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
    ]
}

/// Applies the mutations to the first `reach` bytes, where headers are.
fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation], reach: usize) {
    for mutation in mutations {
        if bytes.is_empty() {
            return;
        }
        let reach = reach.min(bytes.len());
        match mutation {
            Mutation::Set(at, byte) => bytes[at.index(reach)] = *byte,
            Mutation::SetLong(at, long) => {
                let at = at.index(reach);
                for (byte, new) in bytes[at..].iter_mut().zip(long.to_le_bytes()) {
                    *byte = new;
                }
            }
            Mutation::Remove(at, count) => {
                let at = at.index(reach);
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Mutation::Insert(at, new) => {
                let at = at.index(reach);
                bytes.splice(at..at, new.iter().copied());
            }
            Mutation::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

/// Opens, and if that succeeds reads everything; what is read must be as it is described.
fn exercise(path: &Path) {
    let Ok(checkpoint) = Checkpoint::open(path) else {
        return;
    };
    for info in checkpoint.tensors() {
        if let Ok(tensor) = checkpoint.read(&info.name)
            && let Some(bytes) = tensor.info.byte_len()
        {
            assert_eq!(tensor.data.len(), bytes, "{}", info.name);
        }
    }
    assert!(checkpoint.weight_bytes() < 1 << 30);
}

fn gguf_bytes() -> Vec<u8> {
    let mut gguf = small_gguf("llama");
    gguf.tensor(
        "blk.0.ffn_up.weight",
        TensorBytes::new(8, &[96, 64], vec![1; 96 * 2 * 34]),
    );
    gguf.build()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_a_header_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(&bytes);
        if let Ok(header) = Header::parse(&file) {
            prop_assert!(header.tensors().len() <= file.len() / 32);
        }
        prop_assert!(Header::parse(&bytes).is_err() || bytes.starts_with(b"GGUF"));
    }

    #[test]
    fn a_mutated_gguf_file_is_read_or_refused(
        mutations in proptest::collection::vec(any_mutation(), 1..6),
        everywhere in any::<bool>(),
    ) {
        let mut bytes = gguf_bytes();
        // Metadata, tensor infos and a little of the data.
        let reach = if everywhere { bytes.len() } else { 6000 };
        mutate(&mut bytes, &mutations, reach);
        if let Ok(header) = Header::parse(&bytes) {
            for tensor in header.tensors() {
                if let Some(range) = &tensor.range {
                    prop_assert!(range.end <= bytes.len());
                }
            }
        }
        let (_folder, path) = gguf_file(&bytes);
        exercise(&path);
    }

    #[test]
    fn a_mutated_safetensors_file_is_read_or_refused(
        mutations in proptest::collection::vec(any_mutation(), 1..6),
    ) {
        let folder = model_folder();
        let path = folder.path().join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let reach = bytes.len();
        mutate(&mut bytes, &mutations, reach);
        std::fs::write(&path, bytes).unwrap();
        exercise(folder.path());
    }

    #[test]
    fn any_safetensors_header_is_read_or_refused(header in "[{}\\[\\]\":,a-zA-Z0-9_ .-]{0,200}") {
        let folder = model_folder();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        write(folder.path(), "model.safetensors", file);
        exercise(folder.path());
    }

    #[test]
    fn a_folder_with_any_file_replaced_is_read_or_refused(
        name in proptest::sample::select(vec![
            "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
            "special_tokens_map.json", "model.safetensors.index.json", "model.safetensors",
            "chat_template.jinja", "additional_chat_templates/x.jinja", "model-2.safetensors",
        ]),
        content in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[{}\\[\\]\":,a-z0-9_ ]{0,60}".prop_map(String::into_bytes),
            Just(br#"{"weight_map": {"lm_head.weight": "model.safetensors"}}"#.to_vec()),
            Just(br#"{"chat_template": [{"name": "default", "template": ""}]}"#.to_vec()),
        ],
    ) {
        let folder = model_folder();
        write(folder.path(), name, content);
        exercise(folder.path());
    }
}

#[test]
fn an_empty_folder_and_an_empty_file_are_refused() {
    let folder = TempDir::new().unwrap();
    assert!(Checkpoint::open(folder.path()).is_err());
    let (_folder, path) = gguf_file(b"");
    assert!(Checkpoint::open(&path).is_err());
}
