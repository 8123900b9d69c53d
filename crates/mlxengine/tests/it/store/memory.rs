//! The memory estimate against what an engine then really holds.
//!
//! `MLXENGINE_TEST_MODELS` names the folder of models. Without it this test says that it is
//! skipped; with `MLXENGINE_TEST_REQUIRE=1` it fails instead.

use std::path::PathBuf;

use futures_util::StreamExt as _;
use mlxengine::{
    Availability, BackendPolicy, DeviceChoice, GenerateParams, GenerateRequest, InferenceEngine,
    MemoryReport, ModelStore, Prompt, StoredModel, backends,
};

use super::World;

const FOLDER: &str = "SmolLM2-135M-Instruct-MLX-4bit";
const PROMPT: u32 = 500;
const ANSWER: u32 = 12;

/// The model's path, or `None` with a word about why it is skipped.
fn model_or_skip() -> Option<PathBuf> {
    let reason = match std::env::var_os("MLXENGINE_TEST_MODELS") {
        None => "MLXENGINE_TEST_MODELS is not set".to_owned(),
        Some(models) => {
            let path = PathBuf::from(models).join(FOLDER);
            let mlx = backends().iter().any(|backend| {
                let ready = matches!(backend.availability(), Availability::Ready { .. });
                backend.info().name == "mlx" && ready
            });
            match (path.exists(), mlx) {
                (true, true) => return Some(path),
                (false, _) => format!("there is no {}", path.display()),
                (true, false) => "MLX can't run here".to_owned(),
            }
        }
    };
    let required = std::env::var_os("MLXENGINE_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "required, but {reason}");
    println!("skipped: {reason}");
    None
}

struct Held {
    report: MemoryReport,
    /// What the process has taken since before the load.
    grown: Option<u64>,
}

/// What the engine says in the middle of an answer to a long prompt.
async fn report(store: &ModelStore, path: &str, backend: &str) -> Held {
    let before = own_memory();
    let mut model: StoredModel = store.open(path).await.unwrap();
    model.configuration.load.device = DeviceChoice::Cpu;
    let engine = InferenceEngine::load(model)
        .backend(BackendPolicy::require(backend))
        .await
        .unwrap();
    let params = GenerateParams {
        max_tokens: ANSWER,
        ignore_eos: true,
        ..GenerateParams::greedy()
    };
    let prompt = Prompt::Tokens(vec![100; PROMPT as usize]);
    let mut events = engine
        .start(GenerateRequest::new(prompt).with_params(params))
        .unwrap();
    let mut held = MemoryReport::default();
    let mut grown = None;
    while let Some(event) = events.next().await {
        event.unwrap();
        let now = engine.memory().await.unwrap();
        if now.kv_bytes > held.kv_bytes {
            held = now;
            grown = own_memory().zip(before).map(|(now, before)| now - before);
        }
    }
    engine.unload().await.unwrap();
    Held {
        report: held,
        grown,
    }
}

/// Memory of this process that belongs to no file. `None` where the system does not say, or where
/// other tests run in this process.
fn own_memory() -> Option<u64> {
    let alone = std::env::var("NEXTEST_EXECUTION_MODE").is_ok_and(|m| m == "process-per-test");
    let status = std::fs::read_to_string("/proc/self/status").ok();
    let status = status.filter(|_| alone)?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[track_caller]
fn within_a_tenth(what: &str, estimate: u64, real: u64) {
    let ratio = estimate as f64 / real as f64;
    assert!(
        (0.9..=1.1).contains(&ratio),
        "{what}: {estimate} for {real}"
    );
}

/// Compares the estimate, made from files and from the configuration alone, with what a backend
/// holds; the process too where the overhead is known to be that of the estimate.
async fn check(backend: &str, element_bytes: u32, process_too: bool) {
    let Some(path) = model_or_skip() else { return };
    let world = World::new();
    let name = path.to_str().unwrap();
    let Held {
        report: held,
        grown,
    } = report(&world.store, name, backend).await;
    let described = world.store.describe(&world.store.find(name).unwrap()).await;
    let described = described.unwrap();
    let context = PROMPT + ANSWER;
    let by_files = described.memory_estimate(context, element_bytes).unwrap();
    println!("{by_files:?} for {held:?}, {grown:?} in all");
    within_a_tenth("weights", by_files.weight_bytes, held.weight_bytes);
    within_a_tenth("cache", by_files.kv_bytes, held.kv_bytes);
    within_a_tenth(
        "both",
        by_files.weight_bytes + by_files.kv_bytes,
        held.held_bytes(),
    );
    // Activations, the tokenizer and what allocators keep are the overhead.
    if let Some(grown) = grown.filter(|_| process_too) {
        within_a_tenth("the process", by_files.total_bytes(), grown);
    }
    // From the configuration alone, before there is a file.
    let facts = described.entry.facts();
    let by_config = facts.memory_estimate(None, context, element_bytes).unwrap();
    within_a_tenth(
        "weights by configuration",
        by_config.weight_bytes,
        held.weight_bytes,
    );
}

/// MLX's CPU device computes with numbers of 4 bytes.
#[tokio::test]
async fn the_estimate_is_within_a_tenth_of_what_mlx_holds() {
    check("mlx", 4, true).await;
}

/// Its overhead is smaller than the estimate's, which is for every backend.
#[tokio::test]
async fn the_estimate_is_within_a_tenth_of_what_the_processors_backend_holds() {
    check("cpu", 2, false).await;
}
