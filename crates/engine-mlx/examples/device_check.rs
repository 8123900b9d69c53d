//! Whether a device keeps the contract: both conformance suites, memory given back, and a model
//! that does not fit.
//!
//! ```sh
//! device_check MODEL_FOLDER cuda [FOLDER_OF_A_MODEL_THAT_DOES_NOT_FIT]
//! ```

#[cfg(any(target_vendor = "apple", mlx_runtime))]
mod checking {
    use std::{error::Error, path::Path, sync::Arc, time::Duration};

    use engine_conformance::{EngineSuite, ModelSuite, Tolerance};
    use engine_core::{DeviceChoice, LoadRequest, Logits, LogitsWanted, Model, Progress, Run};
    use engine_mlx::{MlxBackend, MlxModel};
    use serde_json::Value;

    type Outcome<T> = Result<T, Box<dyn Error>>;

    pub(super) fn run() -> Outcome<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [folder, device, too_large @ ..] = &arguments[..] else {
            return Err("usage: device_check MODEL_FOLDER DEVICE [TOO_LARGE_MODEL]".into());
        };
        let device: DeviceChoice = serde_json::from_value(Value::from(device.as_str()))?;
        let request = request(folder, device);
        memory_is_given_back(&request)?;
        for path in too_large {
            does_not_fit(path, device)?;
        }
        conformance(&request);
        Ok(())
    }

    fn request(folder: impl AsRef<Path>, device: DeviceChoice) -> LoadRequest {
        let mut request = LoadRequest::new(folder.as_ref());
        request.options.device = device;
        request
    }

    #[expect(clippy::print_stdout, reason = "what the program is for")]
    fn memory_is_given_back(request: &LoadRequest) -> Outcome<()> {
        let active = || mlx_rs::memory::active_memory();
        let before = active()?;
        for round in 1..=3 {
            let mut model = MlxModel::load(request, &Progress::silent())?;
            let sequence = model.open()?;
            let run = Run {
                sequence,
                tokens: &[100; 600],
                logits: LogitsWanted::Last,
            };
            model.forward(&[run], &mut Logits::new())?;
            let report = model.memory();
            let during = active()?;
            drop(model);
            println!(
                "load {round}: {} bytes of weights, {} of KV cache, {during} active, {} after \
                 the model was dropped, {} kept for reuse",
                report.weight_bytes,
                report.kv_bytes,
                active()?,
                mlx_rs::memory::cache_memory()?,
            );
            if active()? != before {
                return Err("memory was not given back".into());
            }
        }
        let mut limited = request.clone();
        limited.options.cache_limit_bytes = Some(1 << 20);
        let mut model = MlxModel::load(&limited, &Progress::silent())?;
        let sequence = model.open()?;
        let run = Run {
            sequence,
            tokens: &[100; 600],
            logits: LogitsWanted::Last,
        };
        model.forward(&[run], &mut Logits::new())?;
        let pooled = model.memory().pooled_bytes;
        println!("with a limit of 1 MiB, {pooled} bytes are kept for reuse");
        if pooled > 1 << 20 {
            return Err("the limit was not kept".into());
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "what the program is for")]
    fn does_not_fit(path: &str, device: DeviceChoice) -> Outcome<()> {
        match MlxModel::load(&request(path, device), &Progress::silent()) {
            Ok(_) => Err(format!("{path} was to be too large").into()),
            Err(error) => {
                println!("too large: {error}");
                Ok(())
            }
        }
    }

    fn conformance(request: &LoadRequest) {
        let mut short = request.clone();
        short.options.context_length = Some(96);
        // A GPU adds in another order for every shape, and in half types.
        let tolerance = Tolerance {
            absolute: 0.5,
            relative: 0.05,
        };
        ModelSuite::new(move || {
            let model = MlxModel::load(&short, &Progress::silent())?;
            Ok(Box::new(model) as Box<dyn Model>)
        })
        .with_tolerance(tolerance)
        .with_operations(12)
        .run()
        .assert_passed(50);
        EngineSuite::of_backend(Arc::new(MlxBackend::new()), request.clone())
            .with_answer_tokens(12)
            .with_agreement(4)
            .with_deadline(Duration::from_mins(2))
            .run()
            .assert_passed(86);
    }
}

#[cfg(any(target_vendor = "apple", mlx_runtime))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    checking::run()
}

#[cfg(not(any(target_vendor = "apple", mlx_runtime)))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    Err("MLX is not part of this build: run `cargo xtask setup` first".into())
}
