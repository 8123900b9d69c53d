//! What caches keep: sliding windows, and numbers in eight bits.

use engine_core::{
    Backend, ComputeType, DeviceInput, DeviceRun, Error, Field, KvType, LoadRequest, Logits,
    LogitsWanted, Model, Progress, Run, SequenceId, TokenId,
};
use engine_mlx::{MlxBackend, MlxModel};
use futures_executor::block_on;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    mlx_process::beside_others,
    tiny::{Tiny, llama_config, on_cpu, rows_of},
};

const CONTEXT: usize = 2000;
/// Bytes of a position in a layer of [`config`]: keys and values, 2 heads of 64 numbers in f32.
const POSITION: u64 = 2 * 2 * 64 * 4;

/// Two layers with heads of 64 numbers, of which the first has the window.
fn config(window: Option<usize>) -> Value {
    let mut config = llama_config();
    config["head_dim"] = json!(64);
    config["max_position_embeddings"] = json!(CONTEXT);
    if let Some(window) = window {
        config["sliding_window"] = json!(window);
        config["layer_types"] = json!(["sliding_attention", "full_attention"]);
    }
    config
}

fn folder(window: Option<usize>) -> TempDir {
    Tiny::new(&config(window), safetensors::Dtype::F32).write()
}

fn request(folder: &TempDir, kv_type: KvType) -> LoadRequest {
    let mut request = on_cpu(folder.path());
    request.options.kv_type = kv_type;
    request
}

fn load(window: Option<usize>, kv_type: KvType) -> MlxModel {
    let folder = folder(window);
    MlxModel::load(&request(&folder, kv_type), &Progress::silent()).unwrap()
}

fn prompt(len: usize) -> Vec<TokenId> {
    (0..len as u32).map(|index| index * 31 % 250).collect()
}

fn append(model: &mut MlxModel, sequence: SequenceId, tokens: &[TokenId]) -> Vec<f32> {
    let run = Run {
        sequence,
        tokens,
        logits: LogitsWanted::Last,
    };
    let mut logits = Logits::new();
    model.forward(&[run], &mut logits).unwrap();
    logits.last(0).unwrap().to_vec()
}

/// The largest difference of two rows, over the largest magnitude of the expected one.
fn apart(row: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(row.len(), expected.len());
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let differences = row.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0f32, f32::max) / largest
}

#[test]
fn a_window_bounds_what_its_layer_keeps() {
    let _process = beside_others();
    let mut model = load(Some(100), KvType::Auto);
    assert!(!model.can_truncate());
    let sequence = model.open().unwrap();
    let mut len = 0;
    for piece in prompt(CONTEXT).chunks(130) {
        append(&mut model, sequence, piece);
        len += piece.len() as u64;
        let everything = len.next_multiple_of(256);
        let windowed = model.memory().kv_bytes / POSITION - everything;
        assert!(windowed <= everything.min(768), "{windowed} of {len}");
    }
    let state = model.export(sequence).unwrap();
    let positions: Vec<_> = state.tensors.iter().map(|tensor| tensor.shape[2]).collect();
    // What the next token sees, and 64 before that.
    assert_eq!(positions, [163, 163, CONTEXT, CONTEXT]);
}

#[test]
fn an_imported_sequence_can_be_cut_by_a_few_tokens_at_once() {
    let _process = beside_others();
    let mut model = load(Some(100), KvType::Auto);
    let prompt = prompt(600);
    let sequence = model.open().unwrap();
    for piece in prompt.chunks(130) {
        append(&mut model, sequence, piece);
    }
    let state = model.export(sequence).unwrap();
    let copy = model.import(&state).unwrap();
    let earliest = model.earliest_cut(copy).unwrap();
    assert!(earliest <= 600 - 64, "{earliest}");
    // It leaves the model once more with what it has.
    let state = model.export(copy).unwrap();
    let again = model.import(&state).unwrap();
    for copy in [copy, again] {
        model.truncate(copy, 600 - 64).unwrap();
        let row = append(&mut model, copy, &[7]);
        let all = [&prompt[..600 - 64], &[7]].concat();
        let expected = rows_of(&mut model, &all).pop().unwrap();
        assert!(apart(&row, &expected) < 1e-5);
    }
}

#[test]
fn a_short_beginning_of_a_long_run_holds_small_buffers() {
    let _process = beside_others();
    for window in [None, Some(100)] {
        let mut model = load(window, KvType::Auto);
        let sequence = model.open().unwrap();
        append(&mut model, sequence, &prompt(1500));
        assert_eq!(model.kv_bytes_of(&[sequence]), 2 * 1536 * POSITION);
        model.truncate(sequence, 120).unwrap();
        assert_eq!(model.kv_bytes_of(&[sequence]), 2 * 256 * POSITION);
        let row = append(&mut model, sequence, &[7]);
        let all = [&prompt(120)[..], &[7]].concat();
        let expected = rows_of(&mut model, &all).pop().unwrap();
        assert!(apart(&row, &expected) < 1e-5, "{window:?}");
    }
}

#[test]
fn a_sequence_longer_than_the_context_is_not_imported() {
    let _process = beside_others();
    for window in [None, Some(100)] {
        let mut model = load(window, KvType::Auto);
        let sequence = model.open().unwrap();
        append(&mut model, sequence, &prompt(300));
        let mut state = model.export(sequence).unwrap();

        let mut config = config(window);
        config["max_position_embeddings"] = json!(299);
        let folder = Tiny::new(&config, safetensors::Dtype::F32).write();
        let request = request(&folder, KvType::Auto);
        let mut small = MlxModel::load(&request, &Progress::silent()).unwrap();
        for len in [300, usize::MAX] {
            state.len = len;
            let error = small.import(&state).unwrap_err();
            assert!(matches!(error, Error::InvalidState { .. }), "{error}");
        }
        assert_eq!(small.memory().sequences, 0);
    }
}

/// A single run holds all of itself, and so hides what lies before the windows by a mask alone.
#[test]
fn what_is_given_up_is_not_missed() {
    let _process = beside_others();
    let prompt = prompt(900);
    for window in [1, 100, 256] {
        let mut model = load(Some(window), KvType::Auto);
        let whole = rows_of(&mut model, &prompt);
        let sequence = model.open().unwrap();
        let mut len = 0;
        for tokens in prompt[..600].chunks(70) {
            let row = append(&mut model, sequence, tokens);
            len += tokens.len();
            let apart = apart(&row, &whole[len - 1]);
            assert!(apart < 1e-5, "{apart} apart at {len} in pieces, {window}");
        }
        for token in &prompt[600..] {
            let row = append(&mut model, sequence, &[*token]);
            len += 1;
            let apart = apart(&row, &whole[len - 1]);
            assert!(apart < 1e-5, "{apart} apart at {len} one by one, {window}");
        }
    }
}

#[test]
fn a_cut_beyond_the_window_is_refused_and_a_short_one_always_works() {
    let _process = beside_others();
    let mut model = load(Some(100), KvType::Auto);
    let sequence = model.open().unwrap();
    let prompt = prompt(CONTEXT);
    for end in [700, 1100, 1900] {
        let len = model.sequence_len(sequence).unwrap();
        append(&mut model, sequence, &prompt[len..end]);
        append(&mut model, sequence, &prompt[end..=end]);
        let earliest = model.earliest_cut(sequence).unwrap();
        assert!(
            earliest > 1 && earliest <= end + 1 - 64,
            "{earliest} of {end}"
        );
        let error = model.truncate(sequence, earliest - 1).unwrap_err();
        assert!(
            matches!(&error, Error::CutTooFar { earliest: e, .. } if *e == earliest),
            "{error}"
        );
        model.truncate(sequence, earliest).unwrap();
        let row = append(&mut model, sequence, &[7]);
        let all = [&prompt[..earliest], &[7]].concat();
        let expected = rows_of(&mut model, &all).pop().unwrap();
        assert!(apart(&row, &expected) < 1e-5, "cut to {earliest}");
        model.truncate(sequence, earliest).unwrap();
    }
}

#[test]
fn an_eight_bit_cache_takes_about_a_quarter_of_32_bits_and_comes_near() {
    let _process = beside_others();
    for window in [None, Some(100)] {
        let tokens = prompt(300);
        let run = |kv_type| {
            let mut model = load(window, kv_type);
            let whole = rows_of(&mut model, &tokens).pop().unwrap();
            // In pieces, so that what is read back has been stored; the last by itself.
            let sequence = model.open().unwrap();
            append(&mut model, sequence, &tokens[..200]);
            append(&mut model, sequence, &tokens[200..299]);
            let row = append(&mut model, sequence, &tokens[299..]);
            (model.memory().kv_bytes, whole, row)
        };
        let (plain_bytes, expected, _) = run(KvType::Auto);
        let (packed_bytes, whole, row) = run(KvType::Q8);
        // 8 bits a number, and two numbers of 32 bits for each 64.
        assert_eq!(packed_bytes, plain_bytes * 9 / 32);
        for (what, row) in [("whole", &whole), ("in pieces", &row)] {
            let apart = apart(row, &expected);
            assert!(apart > 0.0 && apart < 0.02, "{what}: {apart}");
        }
        // One row multiplies with packed numbers, several with what they stand for.
        assert!(apart(&row, &whole) < 1e-4, "{}", apart(&row, &whole));
    }
}

#[test]
fn eight_bit_caches_fork_cut_save_and_go_in_step() {
    let _process = beside_others();
    let mut model = load(None, KvType::Q8);
    let tokens = prompt(400);
    let original = model.open().unwrap();
    append(&mut model, original, &tokens[..350]);
    let state = model.export(original).unwrap();
    let fork = model.fork(original).unwrap();
    let import = model.import(&state).unwrap();
    let expected = append(&mut model, original, &tokens[350..360]);
    for copy in [fork, import] {
        assert_eq!(append(&mut model, copy, &tokens[350..360]), expected);
        model.truncate(copy, 100).unwrap();
    }
    // The buffers of a short beginning are small.
    let position = 2 * 2 * (64 + 8) * 2;
    assert_eq!(model.kv_bytes_of(&[fork]), 256 * position);

    let alone = append(&mut model, fork, &[9]);
    let longer = append(&mut model, original, &[9]);
    model.truncate(original, 360).unwrap();
    let runs = [import, original].map(|sequence| Run {
        sequence,
        tokens: &[9],
        logits: LogitsWanted::Last,
    });
    let mut logits = Logits::new();
    model.forward(&runs, &mut logits).unwrap();
    assert!(apart(logits.last(0).unwrap(), &alone) < 1e-5);
    assert!(apart(logits.last(1).unwrap(), &longer) < 1e-5);
    let chosen = model
        .step_greedy(&[DeviceRun {
            sequence: import,
            input: DeviceInput::Tokens(&[3]),
        }])
        .unwrap()[0];
    let chosen = model.read_token(chosen).unwrap();
    let row = append(&mut model, fork, &[3]);
    let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    assert_eq!(best, Some(chosen as usize));

    let plain = load(None, KvType::Auto).import(&state).unwrap_err();
    assert!(matches!(plain, Error::InvalidState { .. }), "{plain}");
}

#[test]
fn a_type_that_the_cache_cannot_have_is_refused() {
    let _process = beside_others();
    let folder = folder(None);
    let mut half = request(&folder, KvType::F16);
    let error = MlxModel::load(&half, &Progress::silent()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidParameter {
                field: Field::KvType,
                ..
            }
        ),
        "{error}"
    );
    half.options.compute = ComputeType::F16;
    MlxModel::load(&half, &Progress::silent()).unwrap();
    block_on(MlxBackend::new().load(half, Progress::silent())).unwrap();

    // Its heads have 16 numbers.
    let small = Tiny::llama().write();
    let request = request(&small, KvType::Q8);
    let error = block_on(MlxBackend::new().load(request, Progress::silent())).unwrap_err();
    assert!(
        matches!(
            error,
            Error::UnsupportedByModel {
                field: Field::KvType,
                ..
            }
        ),
        "{error}"
    );
}

/// What mlx-lm computes with its `RotatingKVCache` and its `QuantizedKVCache`, in pieces and then
/// token by token: `fixtures/cache_goldens.json`.
#[test]
fn caches_give_the_logits_of_mlx_lms() {
    let _process = beside_others();
    let goldens: Vec<Value> =
        serde_json::from_str(include_str!("../../fixtures/cache_goldens.json")).unwrap();
    assert_eq!(goldens.len(), 3);
    for golden in goldens {
        let name = golden["name"].as_str().unwrap();
        let prompt: Vec<TokenId> = serde_json::from_value(golden["prompt"].clone()).unwrap();
        let rows: Vec<Vec<f32>> = serde_json::from_value(golden["last_logits"].clone()).unwrap();
        let eight_bits = name == "eight_bits";
        let folder = Tiny::new(&golden["config"], safetensors::Dtype::F32).write();
        let mut request = on_cpu(folder.path());
        if eight_bits {
            request.options.kv_type = KvType::Q8;
        }
        let mut model = MlxModel::load(&request, &Progress::silent()).unwrap();
        for piece in [130, 1000] {
            let (most, last) = prompt.split_at(prompt.len() - rows.len());
            let sequence = model.open().unwrap();
            for tokens in most.chunks(piece) {
                append(&mut model, sequence, tokens);
            }
            for (token, expected) in last.iter().zip(&rows) {
                let apart = apart(&append(&mut model, sequence, &[*token]), expected);
                // Another order of additions can round a stored number to its neighbour.
                let allowed = if eight_bits { 1e-3 } else { 1e-5 };
                assert!(
                    apart < allowed,
                    "{name} in pieces of {piece}: {apart} apart"
                );
            }
            model.close(sequence).unwrap();
        }
    }
}
