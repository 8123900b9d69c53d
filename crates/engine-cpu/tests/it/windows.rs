//! Attention through a sliding window.

use engine_core::{
    Error, KvType, Logits, LogitsWanted, Model, Pooling, Progress, Run, SequenceId, TokenId,
};
use engine_cpu::CpuModel;
use serde_json::{Value, json};

use super::tiny::{Tiny, llama_config, load, rows_of, with_threads};

const WINDOW: usize = 5;
/// Tokens that differ from prompt to prompt, then those that stay.
const LEN: usize = 150;

fn config(family: &str, layers: usize, changes: &Value) -> Value {
    let mut config = llama_config();
    config["model_type"] = family.into();
    config["num_hidden_layers"] = layers.into();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A prompt whose last `kept` tokens do not depend on `seed`.
fn prompt(seed: u32, kept: usize) -> Vec<TokenId> {
    let other = (0..(LEN - kept) as u32).map(|index| (index * 7 + seed * 13) % 250);
    let same = (0..kept as u32).map(|index| (index * 11 + 3) % 250);
    other.chain(same).collect()
}

fn logits(config: &Value, tokens: &[TokenId]) -> Vec<f32> {
    let folder = Tiny::new(config, safetensors::Dtype::F32).write();
    rows_of(&mut load(folder.path()), tokens).pop().unwrap()
}

/// One layer sees the window, and each further layer as many tokens more, less one.
#[test]
fn what_lies_before_the_window_has_no_part_in_the_answer() {
    let qwen = json!({
        "sliding_window": WINDOW, "use_sliding_window": true, "max_window_layers": 0
    });
    for (family, changes) in [
        ("mistral", json!({ "sliding_window": WINDOW })),
        ("qwen2", qwen),
    ] {
        for layers in [1, 2] {
            let config = config(family, layers, &changes);
            let seen = 1 + layers * (WINDOW - 1);
            let alike = [1, 2].map(|seed| logits(&config, &prompt(seed, seen)));
            assert_eq!(alike[0], alike[1], "{family}, {layers} layers");
            let apart = [1, 2].map(|seed| logits(&config, &prompt(seed, seen - 1)));
            assert_ne!(apart[0], apart[1], "{family}, {layers} layers");
        }
    }
}

#[test]
fn a_window_of_a_family_is_the_same_as_one_of_each_layer() {
    let family = config("mistral", 2, &json!({ "sliding_window": WINDOW }));
    let layers = json!({
        "sliding_window": WINDOW,
        "layer_types": ["sliding_attention", "sliding_attention"],
    });
    let prompt = prompt(1, 0);
    assert_eq!(
        logits(&family, &prompt),
        logits(&config("llama", 2, &layers), &prompt)
    );
}

#[test]
fn layers_before_max_window_layers_see_everything() {
    let with_first = json!({
        "sliding_window": WINDOW, "use_sliding_window": true, "max_window_layers": 1
    });
    let config = config("qwen2", 1, &with_first);
    let apart = [1, 2].map(|seed| logits(&config, &prompt(seed, 100)));
    assert_ne!(apart[0], apart[1]);
}

/// Bytes of a page of one layer: keys and values, 64 positions, 2 heads of 16 numbers, and their scales.
const PAGE_BYTES: u64 = 2 * 64 * 2 * (16 * 2 + 4);
/// Tokens of a long sequence.
const LONG: usize = 2000;

/// A layer with a window and one that sees everything.
fn half_windowed(window: usize, context: usize) -> CpuModel {
    load_half_windowed(window, context, KvType::Auto)
}

fn load_half_windowed(window: usize, context: usize, kv_type: KvType) -> CpuModel {
    let mut config = config("llama", 2, &json!({ "sliding_window": window }));
    config["layer_types"] = json!(["sliding_attention", "full_attention"]);
    config["max_position_embeddings"] = (2 * LONG).into();
    let folder = Tiny::new(&config, safetensors::Dtype::F32).write();
    let mut request = with_threads(folder.path(), 2);
    request.options.context_length = Some(context as u32);
    request.options.kv_type = kv_type;
    CpuModel::load(&request, &Progress::silent()).unwrap()
}

fn append(model: &mut CpuModel, sequence: SequenceId, tokens: &[TokenId]) -> Vec<f32> {
    let run = Run {
        sequence,
        tokens,
        logits: LogitsWanted::Last,
    };
    let mut logits = Logits::new();
    model.forward(&[run], &mut logits).unwrap();
    logits.last(0).unwrap().to_vec()
}

fn long_prompt() -> Vec<TokenId> {
    (0..LONG as u32).map(|index| index * 31 % 250).collect()
}

#[test]
fn pages_before_the_window_are_given_up() {
    let window = 100;
    let mut model = half_windowed(window, 2 * LONG);
    let sequence = model.open().unwrap();
    // The window, pages cut at both ends, and one to cut back by.
    let most = (window as u64).div_ceil(64) + 3;
    let mut len = 0;
    for piece in long_prompt().chunks(150) {
        append(&mut model, sequence, piece);
        len += piece.len() as u64;
        let seen_all = len.div_ceil(64);
        let windowed = model.memory().kv_bytes / PAGE_BYTES - seen_all;
        assert!(windowed <= most.min(seen_all), "{windowed} pages of {len}");
    }
    let state = model.export(sequence).unwrap();
    let pages = |layer: usize| {
        let name = format!("layers.{layer}.keys");
        let keys = state.tensors.iter().find(|tensor| tensor.name == name);
        keys.unwrap().shape[0]
    };
    assert!(pages(0) as u64 <= most && pages(1) == LONG.div_ceil(64));
}

/// A single run holds all of itself, and so hides what lies before the windows by a mask alone.
#[test]
fn what_is_given_up_changes_no_bit_of_the_logits() {
    let prompt = long_prompt();
    for kv_type in [KvType::F16, KvType::Q8] {
        for window in [1, 63, 64, 65, 200] {
            let mut model = load_half_windowed(window, 2 * LONG, kv_type);
            let whole = rows_of(&mut model, &prompt);
            for piece in [96, 130] {
                let sequence = model.open().unwrap();
                let mut len = 0;
                for tokens in prompt[..LONG - 100].chunks(piece) {
                    let row = append(&mut model, sequence, tokens);
                    len += tokens.len();
                    assert_eq!(row, whole[len - 1], "{window} {kv_type:?}, {len} in pieces");
                }
                for token in &prompt[len..] {
                    let row = append(&mut model, sequence, &[*token]);
                    len += 1;
                    assert_eq!(
                        row,
                        whole[len - 1],
                        "{window} {kv_type:?}, {len} one by one"
                    );
                }
                model.close(sequence).unwrap();
            }
        }
    }
}

/// Through one layer with a window, read in several steps, what came before has no part.
#[test]
fn a_long_text_is_embedded_by_what_its_last_token_sees() {
    let config = config("mistral", 1, &json!({ "sliding_window": 100 }));
    let folder = Tiny::new(&config, safetensors::Dtype::F32)
        .with_config("max_position_embeddings", LONG.into())
        .write();
    let mut model = load(folder.path());
    let texts = [1, 2].map(|seed| {
        let other = (0..800).map(|index| (index * 7 + seed * 13) % 250);
        other
            .chain((0..100).map(|index| index * 11 % 250))
            .collect()
    });
    let texts: [&Vec<TokenId>; 2] = [&texts[0], &texts[1]];
    let vectors = model
        .embed(&texts.map(Vec::as_slice), Pooling::Last)
        .unwrap();
    assert_eq!(vectors[0], vectors[1]);
    let longer = [&texts[0][..], &[1]].concat();
    let other = model.embed(&[&longer], Pooling::Last).unwrap();
    assert_ne!(vectors[0], other[0]);
}

#[test]
fn a_sequence_can_always_be_cut_by_a_page_and_no_further_than_its_window() {
    let mut model = half_windowed(100, 2 * LONG);
    assert!(!model.can_truncate());
    let sequence = model.open().unwrap();
    let prompt = long_prompt();
    append(&mut model, sequence, &prompt[..160]);
    assert_eq!(model.earliest_cut(sequence).unwrap(), 0);
    for end in [300, 364, 500, LONG] {
        let len = model.sequence_len(sequence).unwrap();
        append(&mut model, sequence, &prompt[len..end]);
        let earliest = model.earliest_cut(sequence).unwrap();
        assert!(
            (end - 128..=end - 64).contains(&earliest),
            "{earliest} of {end}"
        );
        let error = model.truncate(sequence, earliest - 1).unwrap_err();
        assert!(
            matches!(&error, Error::CutTooFar { earliest: e, .. } if *e == earliest),
            "{error}"
        );
        model.truncate(sequence, earliest).unwrap();
        assert_eq!(model.earliest_cut(sequence).unwrap(), earliest);
    }
}

#[test]
fn a_window_that_no_sequence_outgrows_gives_up_nothing() {
    for (context, cuts) in [(100, true), (226, true), (227, false)] {
        let mut model = half_windowed(100, context);
        assert_eq!(model.can_truncate(), cuts, "{context}");
        let sequence = model.open().unwrap();
        append(&mut model, sequence, &long_prompt()[..context]);
        let state = model.export(sequence).unwrap();
        let imported = model.import(&state).unwrap();
        for sequence in [sequence, imported] {
            let earliest = model.earliest_cut(sequence).unwrap();
            assert_eq!(earliest == 0, cuts, "{context}");
        }
    }
}

#[test]
fn a_sequence_longer_than_the_context_is_not_imported() {
    let mut model = half_windowed(100, 300);
    let sequence = model.open().unwrap();
    append(&mut model, sequence, &long_prompt()[..300]);
    let mut state = model.export(sequence).unwrap();
    let mut small = half_windowed(100, 299);
    for len in [300, usize::MAX] {
        state.len = len;
        let error = small.import(&state).unwrap_err();
        assert!(matches!(error, Error::InvalidState { .. }), "{error}");
    }
    assert_eq!(small.memory().sequences, 0);
}

/// What mlx-lm computes with its `RotatingKVCache`: the goldens of `engine-mlx`.
#[test]
fn windows_give_the_logits_of_mlx_lms_rotating_caches() {
    let goldens: Vec<Value> = serde_json::from_str(include_str!(
        "../../../engine-mlx/tests/fixtures/cache_goldens.json"
    ))
    .unwrap();
    let mut compared = 0;
    for golden in &goldens {
        let name = golden["name"].as_str().unwrap();
        if !name.starts_with("rotating") {
            continue;
        }
        let prompt: Vec<TokenId> = serde_json::from_value(golden["prompt"].clone()).unwrap();
        let rows: Vec<Vec<f32>> = serde_json::from_value(golden["last_logits"].clone()).unwrap();
        let folder = Tiny::new(&golden["config"], safetensors::Dtype::F32).write();
        let mut model = load(folder.path());
        let (most, last) = prompt.split_at(prompt.len() - rows.len());
        let sequence = model.open().unwrap();
        for tokens in most.chunks(90) {
            append(&mut model, sequence, tokens);
        }
        for (token, expected) in last.iter().zip(&rows) {
            let row = append(&mut model, sequence, &[*token]);
            let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
            let differences = row.iter().zip(expected).map(|(a, b)| (a - b).abs());
            let apart = differences.fold(0f32, f32::max) / largest;
            // Keys and values are halves.
            assert!(apart < 2e-3, "{name}: {apart} apart");
        }
        compared += 1;
    }
    assert_eq!(compared, 2);
}
