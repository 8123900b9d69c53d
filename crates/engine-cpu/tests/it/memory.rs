//! Memory of the cache is counted, shared by forks and given back.

use engine_core::{Error, Logits, LogitsWanted, Model, Run, SequenceId};
use engine_cpu::CpuModel;

use super::tiny::{Tiny, load};

fn append(model: &mut CpuModel, sequence: SequenceId, tokens: &[u32]) -> Vec<f32> {
    let run = Run {
        sequence,
        tokens,
        logits: LogitsWanted::Last,
    };
    let mut logits = Logits::new();
    model.forward(&[run], &mut logits).unwrap();
    logits.last(0).unwrap().to_vec()
}

#[test]
fn caches_grow_by_pages_and_shrink_with_the_length() {
    let folder = Tiny::llama().write();
    let mut model = load(folder.path());
    // Keys and values, 2 layers, 2 heads of 16 numbers in two bytes and a scale in four.
    let position = 2 * 2 * 2 * (16 * 2 + 4);
    let sequence = model.open().unwrap();
    assert_eq!(model.memory().kv_bytes, 0);
    for (tokens, capacity) in [(1, 64), (63, 64), (1, 128)] {
        append(&mut model, sequence, &vec![3; tokens]);
        assert_eq!(model.memory().kv_bytes, capacity * position);
    }
    model.truncate(sequence, 64).unwrap();
    assert_eq!(model.memory().kv_bytes, 64 * position);
    model.truncate(sequence, 0).unwrap();
    assert_eq!(model.memory().kv_bytes, 0);
    assert_eq!(model.memory().sequences, 1);
}

#[test]
fn forks_that_share_a_page_write_to_copies_of_their_own() {
    let folder = Tiny::llama().write();
    let mut model = load(folder.path());
    let (one, alone) = (model.open().unwrap(), model.open().unwrap());
    append(&mut model, one, &[7; 70]);
    let other = model.fork(one).unwrap();
    append(&mut model, other, &[9, 10, 11]);
    let forked = append(&mut model, one, &[4, 5]);
    append(&mut model, alone, &[7; 70]);
    assert_eq!(append(&mut model, alone, &[4, 5]), forked);
}

#[test]
fn a_long_run_is_the_same_in_pieces_and_among_others() {
    let folder = Tiny::llama().write();
    let mut model = load(folder.path());
    let tokens: Vec<u32> = (0..400).map(|i| i * 31 % 288).collect();
    let whole = model.open().unwrap();
    let expected = append(&mut model, whole, &tokens);
    let (a, b) = (model.open().unwrap(), model.open().unwrap());
    append(&mut model, a, &tokens[..150]);
    let mut logits = Logits::new();
    let runs = [
        Run {
            sequence: b,
            tokens: &tokens[..300],
            logits: LogitsWanted::None,
        },
        Run {
            sequence: a,
            tokens: &tokens[150..],
            logits: LogitsWanted::All,
        },
    ];
    model.forward(&runs, &mut logits).unwrap();
    assert_eq!(logits.rows(0).len(), 0);
    assert_eq!(logits.rows(1).len(), 250);
    assert_eq!(logits.last(1).unwrap(), expected);
    assert_eq!(append(&mut model, b, &tokens[300..]), expected);
}

#[test]
fn a_state_with_numbers_that_no_cache_holds_is_refused() {
    let folder = Tiny::llama().write();
    let mut model = load(folder.path());
    let sequence = model.open().unwrap();
    append(&mut model, sequence, &[7; 10]);
    let state = model.export(sequence).unwrap();
    for (name, number) in [
        ("layers.1.keys", &4096i16.to_le_bytes()[..]),
        ("layers.0.values", &i16::MIN.to_le_bytes()),
        ("layers.0.key_scales", &(-1f32).to_le_bytes()),
        ("layers.1.value_scales", &f32::NAN.to_le_bytes()),
        ("layers.0.value_scales", &f32::INFINITY.to_le_bytes()),
        ("layers.0.value_scales", &0f32.to_le_bytes()),
        ("layers.1.key_scales", &1e-40f32.to_le_bytes()),
    ] {
        let mut wrong = state.clone();
        let tensors = &mut wrong.tensors;
        let tensor = tensors.iter_mut().find(|tensor| tensor.name == name);
        tensor.unwrap().data[..number.len()].copy_from_slice(number);
        let error = model.import(&wrong).unwrap_err();
        assert!(
            matches!(error, Error::InvalidState { .. }),
            "{name}: {error}"
        );
    }
    // What lies behind the length does not count.
    let mut tensors = state.clone();
    let scales = tensors.tensors.iter_mut();
    for tensor in scales.filter(|tensor| tensor.name.ends_with("scales")) {
        tensor.data[10 * 4..11 * 4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    assert!(model.import(&tensors).is_ok());
}
