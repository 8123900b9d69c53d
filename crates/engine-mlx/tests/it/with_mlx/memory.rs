//! Memory is counted, kept in bounds and given back.

use engine_core::{
    Backend, DeviceInput, DeviceRun, EngineExt, GenerateParams, GenerateRequest, Logits,
    LogitsWanted, Model, Progress, Run,
};
use engine_mlx::{MlxBackend, MlxModel};
use futures_executor::block_on;
use serde_json::json;

use super::{
    mlx_process::alone,
    tiny::{Tiny, llama_config, on_cpu, rows_of},
};

fn active() -> usize {
    mlx_rs::memory::active_memory().unwrap()
}

fn pooled() -> usize {
    mlx_rs::memory::cache_memory().unwrap()
}

fn append(model: &mut MlxModel, sequence: engine_core::SequenceId, tokens: &[u32]) {
    let run = Run {
        sequence,
        tokens,
        logits: LogitsWanted::None,
    };
    model.forward(&[run], &mut Logits::new()).unwrap();
}

#[test]
fn a_dropped_model_gives_back_every_byte() {
    let _process = alone();
    let folder = Tiny::llama().write();
    let before = active();
    let mut model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
    let weights = model.memory().weight_bytes as usize;
    assert!(active() >= before + weights);
    let sequence = model.open().unwrap();
    append(&mut model, sequence, &[7; 300]);
    let input = DeviceInput::Tokens(&[1]);
    // Left unread: it may be under way when the model goes.
    model.step_greedy(&[DeviceRun { sequence, input }]).unwrap();
    drop(model);
    assert_eq!(active(), before);
    assert_eq!(pooled(), 0);
}

#[test]
fn unloading_an_engine_gives_back_every_byte() {
    let _process = alone();
    let folder = Tiny::llama().write();
    let before = active();
    let engine =
        block_on(MlxBackend::new().load(on_cpu(folder.path()), Progress::silent())).unwrap();
    let params = GenerateParams::greedy().with_max_tokens(8);
    block_on(engine.complete(GenerateRequest::text("Hello").with_params(params))).unwrap();
    let report = block_on(engine.memory()).unwrap();
    assert!(report.weight_bytes > 0);
    assert!(report.active_bytes.unwrap() >= before as u64 + report.weight_bytes);
    assert!(report.peak_bytes >= report.active_bytes);
    block_on(engine.unload()).unwrap();
    assert_eq!(active(), before);
}

#[test]
fn a_failed_load_gives_back_every_byte() {
    let _process = alone();
    let folder = Tiny::llama().write();
    let before = active();
    let progress = Progress::silent();
    progress.cancel();
    assert!(MlxModel::load(&on_cpu(folder.path()), &progress).is_err());
    assert_eq!(active(), before);
}

#[test]
fn caches_are_counted_with_their_room() {
    let _process = alone();
    let folder = Tiny::llama().write();
    let mut model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
    // Keys and values, 2 layers, 2 heads of 16 numbers of 4 bytes.
    let position = 2 * 2 * 2 * 16 * 4;
    let sequence = model.open().unwrap();
    assert_eq!(model.memory().kv_bytes, 0);
    for (tokens, capacity) in [(1, 256), (255, 256), (1, 512)] {
        append(&mut model, sequence, &vec![3; tokens]);
        assert_eq!(model.memory().kv_bytes, capacity * position);
    }
    let copy = model.fork(sequence).unwrap();
    append(&mut model, copy, &[4]);
    assert_eq!(model.memory().kv_bytes, 2 * 512 * position);
    assert_eq!(model.memory().sequences, 2);
    model.truncate(sequence, 0).unwrap();
    model.close(copy).unwrap();
    assert_eq!(model.memory().kv_bytes, 0);
    assert_eq!(model.memory().sequences, 1);
}

#[test]
fn trimming_empties_the_pool() {
    let _process = alone();
    let folder = Tiny::llama().write();
    let mut model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
    rows_of(&mut model, &[1; 100]);
    assert!(model.memory().pooled_bytes > 0);
    model.trim().unwrap();
    assert_eq!(model.memory().pooled_bytes, 0);
}

#[test]
fn the_smallest_limit_of_the_loaded_models_holds_for_the_pool() {
    let _process = alone();
    let folder = Tiny::llama().write();
    let with_limit = |limit| {
        let mut request = on_cpu(folder.path());
        request.options.cache_limit_bytes = limit;
        MlxModel::load(&request, &Progress::silent()).unwrap()
    };
    let mut unlimited = with_limit(None);
    let mut limited = with_limit(Some(10_000));
    let strict = with_limit(Some(0));
    rows_of(&mut limited, &[1; 100]);
    assert_eq!(pooled(), 0);
    drop(strict);
    rows_of(&mut limited, &[1; 100]);
    assert!((1..=10_000).contains(&pooled()), "{}", pooled());
    drop(limited);
    rows_of(&mut unlimited, &[1; 100]);
    assert!(pooled() > 10_000, "{}", pooled());
}

#[test]
fn a_step_writes_its_caches_in_place() {
    let _process = alone();
    let mut config = llama_config();
    config["max_position_embeddings"] = json!(4096);
    let folder = Tiny::new(&config, safetensors::Dtype::F32).write();
    let mut model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
    let sequence = model.open().unwrap();
    for _ in 0..15 {
        append(&mut model, sequence, &[5; 200]);
    }
    // Keys of one layer: what a copy would take at the least.
    let buffer = model.memory().kv_bytes as usize / 4;
    assert_eq!(buffer, 3072 * 2 * 16 * 4);
    let input = DeviceInput::Tokens(&[1]);
    let mut token = model.step_greedy(&[DeviceRun { sequence, input }]).unwrap()[0];
    for _ in 0..10 {
        let before = active();
        mlx_rs::memory::reset_peak_memory().unwrap();
        append(&mut model, sequence, &[6]);
        let taken = mlx_rs::memory::peak_memory()
            .unwrap()
            .saturating_sub(before);
        assert!(taken < buffer / 2, "{taken} bytes for a step on the host");
    }
    for _ in 0..10 {
        let before = active();
        mlx_rs::memory::reset_peak_memory().unwrap();
        let input = DeviceInput::Chosen(token);
        let next = model.step_greedy(&[DeviceRun { sequence, input }]).unwrap()[0];
        model.read_token(token).unwrap();
        token = next;
        let taken = mlx_rs::memory::peak_memory()
            .unwrap()
            .saturating_sub(before);
        assert!(taken < buffer / 2, "{taken} bytes for a step on the device");
    }
}

#[test]
fn long_generations_hold_no_more_than_their_caches() {
    let _process = alone();
    let folder = Tiny::llama().write();
    let mut model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
    let sequence = model.open().unwrap();
    let input = DeviceInput::Tokens(&[1]);
    let mut token = model.step_greedy(&[DeviceRun { sequence, input }]).unwrap()[0];
    let mut after = Vec::new();
    for step in 1..250 {
        let input = DeviceInput::Chosen(token);
        let next = model.step_greedy(&[DeviceRun { sequence, input }]).unwrap()[0];
        model.read_token(token).unwrap();
        token = next;
        if step == 20 || step == 249 {
            model.read_token(token).unwrap();
            after.push(active());
            let input = DeviceInput::Tokens(&[1]);
            token = model.step_greedy(&[DeviceRun { sequence, input }]).unwrap()[0];
        }
    }
    assert!(
        after[1] < after[0] + 4096,
        "{} bytes after 20 steps, {} after 249",
        after[0],
        after[1]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn loading_again_and_again_leaves_no_threads_behind() {
    let _process = alone();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let folder = Tiny::llama().write();
    let load_and_run = || {
        let request = on_cpu(folder.path());
        let running = std::thread::spawn(move || {
            let mut model = MlxModel::load(&request, &Progress::silent()).unwrap();
            rows_of(&mut model, &[1, 2, 3]).len()
        });
        assert_eq!(running.join().unwrap(), 3);
    };
    load_and_run();
    let before = threads();
    for _ in 0..10 {
        load_and_run();
    }
    // Other tests of this process may end or begin theirs.
    assert!(
        threads() < before + 10,
        "{before} threads before, {} after ten loads",
        threads()
    );
}
