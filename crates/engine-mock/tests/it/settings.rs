//! What can be set, what is refused, and that the mock says what it is.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use engine_core::{
    Availability, Backend, ComputeType, DeviceChoice, Error, Field, GenerateParams, KvType,
    LoadOptions, LoadRequest, Progress,
};
use engine_mock::{MockBackend, Script};
use futures_executor::block_on;

use crate::support::{ask, ask_with, load};

#[test]
fn sizes_of_zero_are_refused() {
    for (mock, expected) in [
        (
            MockBackend::builder().context_length(0),
            Field::ContextLength,
        ),
        (MockBackend::builder().prefill_chunk(0), Field::PrefillChunk),
        (
            MockBackend::builder().max_concurrent(0),
            Field::MaxConcurrent,
        ),
    ] {
        let error = mock.build().unwrap_err();
        assert!(
            matches!(error, Error::InvalidParameter { field, .. } if field == expected),
            "{error}"
        );
    }
}

#[test]
fn a_script_with_nothing_to_say_is_refused() {
    for script in [Script::new(), Script::new().when("", "anything")] {
        assert!(MockBackend::builder().scripted(script).build().is_err());
    }
}

#[test]
fn load_options_that_mean_nothing_here_are_refused_by_name() {
    let unused = LoadOptions::default;
    for (options, expected) in [
        (
            LoadOptions {
                device: DeviceChoice::Cpu,
                ..unused()
            },
            Field::Device,
        ),
        (
            LoadOptions {
                compute: ComputeType::F16,
                ..unused()
            },
            Field::Compute,
        ),
        (
            LoadOptions {
                cache_limit_bytes: Some(1),
                ..unused()
            },
            Field::CacheLimitBytes,
        ),
        (
            LoadOptions {
                threads: Some(1),
                ..unused()
            },
            Field::Threads,
        ),
        (
            LoadOptions {
                kv_type: KvType::Q8,
                ..unused()
            },
            Field::KvType,
        ),
    ] {
        let request = LoadRequest::new("models/mock").with_options(options);
        let error = block_on(MockBackend::default().load(request, Progress::silent())).unwrap_err();
        assert!(
            matches!(&error, Error::Unsupported { field, backend }
                if *field == expected && backend == "mock"),
            "{error}"
        );
    }
}

#[test]
fn a_context_longer_than_the_mocks_own_is_refused() {
    let backend = MockBackend::builder().context_length(100).build().unwrap();
    let mut request = LoadRequest::new("models/mock");
    request.options.context_length = Some(101);
    let error = block_on(backend.load(request.clone(), Progress::silent())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "context_length must be at most the model's own 100, not 101"
    );
    request.options.context_length = Some(100);
    assert!(block_on(backend.load(request, Progress::silent())).is_ok());
}

#[test]
fn the_mock_says_that_it_is_one() {
    let backend = MockBackend::default();
    assert!(backend.info().simulated);
    assert_eq!(
        backend.availability(),
        Availability::Ready {
            device: "none (simulated)".to_owned()
        }
    );
    let engine = load(MockBackend::builder());
    assert!(engine.info().model.backend.simulated);
    assert!(engine.capabilities().simulated);
    assert_eq!(engine.info().model.architecture, "mock");
}

#[test]
fn the_path_is_the_one_that_was_asked_for() {
    let request = LoadRequest::new("/no/such/model");
    let engine = block_on(MockBackend::default().load(request, Progress::silent())).unwrap();
    assert_eq!(engine.info().path, Some(PathBuf::from("/no/such/model")));
    assert_eq!(engine.info().name, "model");
}

#[test]
fn answers_take_at_least_their_delays() {
    let delay = Duration::from_millis(5);
    let engine = load(
        MockBackend::builder()
            .token_delay(delay)
            .prefill_delay(delay),
    );
    let params = GenerateParams::greedy().with_max_tokens(4);
    let answer = ask_with(&engine, "one two three", params).unwrap();
    let (timings, usage) = (answer.summary.timings, answer.summary.usage);
    assert!(timings.prefill >= delay * usage.prompt_tokens as u32);
    assert!(timings.decode >= delay * (usage.generated_tokens as u32 - 1));
}

#[test]
fn a_prompt_is_read_in_pieces_of_the_asked_size() {
    use engine_core::{EngineExt, GenerateRequest, GenerationEvent};
    use futures_util::StreamExt;
    let engine = load(MockBackend::builder().prefill_chunk(3));
    let request = GenerateRequest::tokens(vec![65; 8]).with_params(GenerateParams::greedy());
    let events = block_on(engine.stream(request).unwrap().collect::<Vec<_>>());
    let pieces: Vec<_> = events
        .into_iter()
        .filter_map(|event| match event.unwrap() {
            GenerationEvent::Prefill { processed, .. } => Some(processed),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, [3, 6, 8]);
}

#[test]
fn the_device_chooses_what_the_host_would() {
    let host = load(MockBackend::builder().seeded(9));
    let device = load(MockBackend::builder().seeded(9).device_choice(true));
    assert_eq!(
        ask(&host, "Begin").unwrap().tokens,
        ask(&device, "Begin").unwrap().tokens
    );
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_load_warns_once_that_answers_are_made_up() {
    let log = Log::default();
    let writer = log.clone();
    // For all threads: the load runs on one of its own.
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let request = LoadRequest::new("models/a-name-of-this-test");
    let engine = block_on(MockBackend::default().load(request, Progress::silent())).unwrap();
    ask(&engine, "Begin").unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let warnings: Vec<_> = text
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("a-name-of-this-test"))
        .collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(
        warnings[0].contains("answers are made up"),
        "{}",
        warnings[0]
    );
}
