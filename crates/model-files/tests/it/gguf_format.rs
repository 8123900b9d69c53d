//! The GGUF layer by itself: what is read, and what is refused before memory is taken for it.

use model_files::{
    FilesError,
    gguf::{Array, GgmlType, GgufFile, Header, MetadataValue},
};

use crate::fixtures::{GgufBytes, Meta, TensorBytes, gguf_file};

fn reason(bytes: &[u8]) -> String {
    Header::parse(bytes)
        .expect_err("the file is faulty")
        .to_string()
}

fn with_tensor(tensor: TensorBytes) -> GgufBytes {
    let mut gguf = GgufBytes::default();
    gguf.tensor("t", tensor);
    gguf
}

/// A header of version 3 with these counts, and nothing after them.
fn counts(tensors: u64, pairs: u64) -> Vec<u8> {
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend(tensors.to_le_bytes());
    file.extend(pairs.to_le_bytes());
    file
}

#[test]
fn reads_both_versions() {
    for version in [2, 3] {
        let gguf = GgufBytes {
            version,
            ..GgufBytes::default()
        };
        assert_eq!(Header::parse(&gguf.build()).unwrap().version(), version);
    }
}

#[test]
fn refuses_other_versions_and_byte_orders() {
    for version in [0, 1, 4, u32::MAX] {
        let gguf = GgufBytes {
            version,
            ..GgufBytes::default()
        };
        assert!(reason(&gguf.build()).contains("versions 2 and 3"));
    }
    let swapped = GgufBytes {
        version: 3_u32.swap_bytes(),
        ..GgufBytes::default()
    };
    assert!(reason(&swapped.build()).contains("big-endian"));
}

#[test]
fn reads_values_of_every_type() {
    let mut gguf = GgufBytes::default();
    for (key, kind, bytes) in [
        ("u8", 0, vec![200]),
        ("i8", 1, vec![0x80]),
        ("u16", 2, vec![1, 2]),
        ("i16", 3, vec![0xff, 0xff]),
        ("i32", 5, vec![0xfe, 0xff, 0xff, 0xff]),
        ("i64", 11, vec![0xff; 8]),
        ("f64", 12, 0.1_f64.to_le_bytes().to_vec()),
    ] {
        gguf.set(key, Meta::Raw(kind, bytes));
    }
    gguf.set("u32", Meta::U32(7));
    gguf.set("u64", Meta::U64(u64::MAX));
    gguf.set("f32", Meta::F32(1e-5));
    gguf.set("bool", Meta::Bool(true));
    gguf.set("text", Meta::text("ä"));
    gguf.set("texts", Meta::Texts(vec!["a".into(), String::new()]));
    let mut nested = [9_u32.to_le_bytes(), 2_u32.to_le_bytes(), [0; 4]].concat();
    for byte in [5_u8, 6] {
        nested.extend([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte]);
    }
    gguf.set("nested", Meta::Raw(9, nested));

    let header = Header::parse(&gguf.build()).unwrap();
    let get = |key: &str| &header.metadata()[key];
    assert_eq!(*get("u8"), MetadataValue::U8(200));
    assert_eq!(*get("i8"), MetadataValue::I8(-128));
    assert_eq!(*get("u16"), MetadataValue::U16(0x0201));
    assert_eq!(*get("i16"), MetadataValue::I16(-1));
    assert_eq!(*get("i32"), MetadataValue::I32(-2));
    assert_eq!(*get("i64"), MetadataValue::I64(-1));
    assert_eq!(get("f64").as_f64(), Some(0.1));
    assert_eq!(get("u32").as_u64(), Some(7));
    assert_eq!(get("u64").as_u64(), Some(u64::MAX));
    assert_eq!(get("i8").as_u64(), None);
    assert_eq!(get("f32").as_f64(), Some(1e-5));
    assert_eq!(get("bool").as_bool(), Some(true));
    assert_eq!(get("text").as_str(), Some("ä"));
    assert_eq!(get("texts").as_strings().unwrap().len(), 2);
    assert_eq!(
        get("nested").as_array(),
        Some(&Array::Array(vec![Array::U8(vec![5]), Array::U8(vec![6])]))
    );
}

#[test]
fn counts_beyond_the_file_are_refused_before_they_are_believed() {
    for huge in [1, 1000, u64::MAX / 32, u64::MAX] {
        assert!(reason(&counts(huge, 0)).contains("number of tensors"));
        assert!(reason(&counts(0, huge)).contains("number of metadata pairs"));
    }
    for (kind, element) in [(0_u32, 1_u64), (4, 4), (7, 1), (8, 8), (9, 12), (12, 8)] {
        for length in [1 << 20, u64::MAX / element, u64::MAX] {
            let mut array = kind.to_le_bytes().to_vec();
            array.extend(length.to_le_bytes());
            let mut gguf = GgufBytes::default();
            gguf.set("array", Meta::Raw(9, array));
            let reason = reason(&gguf.build());
            assert!(
                reason.contains("array's length"),
                "{kind} {length}: {reason}"
            );
        }
    }
    let mut gguf = GgufBytes::default();
    gguf.set("text", Meta::Raw(8, u64::MAX.to_le_bytes().to_vec()));
    assert!(reason(&gguf.build()).contains("metadata string"));
}

#[test]
fn arrays_can_not_be_nested_without_end() {
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested.extend(9_u32.to_le_bytes());
        nested.extend(1_u64.to_le_bytes());
    }
    let mut gguf = GgufBytes::default();
    gguf.set("deep", Meta::Raw(9, nested));
    assert!(reason(&gguf.build()).contains("nested"));
}

#[test]
fn values_that_are_none_are_refused() {
    for (kind, bytes, expected) in [
        (13, vec![0], "13 is not a metadata type"),
        (7, vec![2], "a boolean is 2"),
        (
            8,
            [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[0xff]].concat(),
            "UTF-8",
        ),
        (
            9,
            vec![13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "13 is not a metadata type",
        ),
        (
            9,
            vec![7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3],
            "a boolean is 3",
        ),
    ] {
        let mut gguf = GgufBytes::default();
        gguf.set("value", Meta::Raw(kind, bytes));
        let reason = reason(&gguf.build());
        assert!(reason.contains(expected), "{reason}");
        assert!(reason.contains("at byte"), "{reason}");
    }
}

#[test]
fn names_are_unique() {
    let gguf = GgufBytes {
        metadata: vec![("k".into(), Meta::U32(1)), ("k".into(), Meta::U32(2))],
        ..GgufBytes::default()
    };
    assert!(reason(&gguf.build()).contains("key k is there twice"));
    let tensor = TensorBytes::zeros_f32(&[1]);
    let gguf = GgufBytes {
        tensors: vec![("t".into(), tensor.clone()), ("t".into(), tensor)],
        ..GgufBytes::default()
    };
    assert!(reason(&gguf.build()).contains("tensor t is there twice"));
}

#[test]
fn names_have_a_greatest_length() {
    let mut gguf = GgufBytes::default();
    gguf.set(&"k".repeat(65_536), Meta::U32(1));
    assert!(reason(&gguf.build()).contains("at most 65535"));
    let mut gguf = GgufBytes::default();
    gguf.tensor(&"t".repeat(1025), TensorBytes::zeros_f32(&[1]));
    assert!(reason(&gguf.build()).contains("at most 1024"));
}

#[test]
fn every_truncation_is_refused() {
    let mut gguf = with_tensor(TensorBytes::zeros_f32(&[2, 3]));
    gguf.set("general.name", Meta::text("x"));
    let whole = gguf.build();
    // The padding behind the last tensor may be missing.
    let needed = whole.len() - 8;
    for length in 0..needed {
        assert!(Header::parse(&whole[..length]).is_err(), "{length}");
    }
    assert!(Header::parse(&whole[..needed]).is_ok());
}

#[test]
fn dimensions_are_outermost_first_and_blocks_are_found() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let mut gguf = with_tensor(TensorBytes::f32(&[1], [9.0]));
    gguf.tensor("u", TensorBytes::f32(&[2, 3], values));
    let (_folder, path) = gguf_file(&gguf.build());
    let file = GgufFile::open(&path).unwrap();
    let tensor = file.tensor("u").unwrap();
    assert_eq!(tensor.shape, [2, 3]);
    assert_eq!(tensor.kind, GgmlType::F32);
    assert_eq!(
        file.blocks(tensor).unwrap(),
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<_>>()
    );
    assert_eq!(file.tensors().len(), 2);
    assert_eq!(file.tensor("v"), None);
}

#[test]
fn the_alignment_may_be_given() {
    let mut gguf = with_tensor(TensorBytes::f32(&[1], [1.0]));
    gguf.tensor("u", TensorBytes::f32(&[1], [2.0]));
    gguf.alignment = 8;
    gguf.set("general.alignment", Meta::U32(8));
    let (_folder, path) = gguf_file(&gguf.build());
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(
        file.blocks(file.tensor("u").unwrap()).unwrap(),
        2_f32.to_le_bytes()
    );
}

#[test]
fn an_alignment_must_be_a_sane_power_of_two() {
    for alignment in [
        Meta::U32(0),
        Meta::U32(24),
        Meta::U64(1 << 63),
        Meta::text("32"),
    ] {
        let mut gguf = GgufBytes::default();
        gguf.set("general.alignment", alignment);
        assert!(reason(&gguf.build()).contains("general.alignment"));
    }
}

#[test]
fn tensors_must_lie_inside_the_file() {
    let cases = [
        (TensorBytes::new(0, &[usize::MAX], vec![]), "reaches beyond"),
        (
            TensorBytes::new(0, &[1 << 32, 1 << 32], vec![]),
            "reaches beyond",
        ),
        (
            TensorBytes::new(0, &[1 << 40], vec![0; 64]),
            "reaches beyond",
        ),
        (TensorBytes::new(0, &[0], vec![]), "dimension of 0"),
        (TensorBytes::new(0, &[1, 0], vec![]), "dimension of 0"),
        (TensorBytes::new(0, &[], vec![]), "has 0 dimensions"),
        (TensorBytes::new(0, &[1; 5], vec![0; 4]), "has 5 dimensions"),
        (TensorBytes::new(2, &[2, 33], vec![0; 72]), "can't fill"),
        (TensorBytes::new(12, &[128], vec![0; 144]), "can't fill"),
    ];
    for (tensor, expected) in cases {
        let reason = reason(&with_tensor(tensor).build());
        assert!(reason.contains(expected), "{reason}");
    }
    for offset in [8, 1 << 20, u64::MAX - 31, u64::MAX] {
        let mut tensor = TensorBytes::zeros_f32(&[1]);
        tensor.offset = Some(offset);
        let reason = reason(&with_tensor(tensor).build());
        assert!(reason.contains("multiple of the alignment") || reason.contains("reaches beyond"));
    }
}

#[test]
fn tensors_can_not_overlap() {
    let mut gguf = with_tensor(TensorBytes::zeros_f32(&[16]));
    let mut second = TensorBytes::zeros_f32(&[16]);
    second.offset = Some(32);
    gguf.tensor("u", second);
    assert!(reason(&gguf.build()).contains("tensors t and u overlap"));
}

#[test]
fn a_type_of_unknown_size_is_listed_and_not_read() {
    let (_folder, path) = gguf_file(&with_tensor(TensorBytes::new(999, &[7], vec![0; 64])).build());
    let file = GgufFile::open(&path).unwrap();
    let tensor = file.tensor("t").unwrap();
    assert_eq!(tensor.kind, GgmlType::Unknown(999));
    let error = file.blocks(tensor).unwrap_err();
    assert!(
        matches!(&error, FilesError::UnsupportedTensorType { kind, .. } if kind == "GGML type 999"),
        "{error}"
    );
}

#[test]
fn every_block_holds_its_elements_in_its_bytes() {
    for number in 0..64 {
        let kind = GgmlType::from_number(number);
        let Some((elements, bytes)) = kind.block() else {
            assert_eq!(kind, GgmlType::Unknown(number));
            continue;
        };
        let bits = bytes * 8 / elements;
        assert!((1..=64).contains(&bits), "{kind}");
        assert!(!kind.to_string().contains("Unknown"));
    }
}
