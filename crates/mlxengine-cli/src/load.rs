//! Loads the model that the command line names.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlxengine::{
    BackendPolicy, InferenceEngine, LoadProgress, LoadStage, ModelConfiguration, NamedModel,
    StoredModel,
    mock::{MockBackend, Script},
};

use crate::{
    args::{BackendName, ModelArgs, ParamArgs},
    failure::Failure,
    interrupt::Interrupt,
    note, report, store,
};

/// Loads, fetching the model first if it is not here, and unless `quiet` shows a progress bar at a
/// terminal and says what was loaded. Ctrl-C cancels.
pub(crate) async fn load(
    args: &ModelArgs,
    params: &ParamArgs,
    quiet: bool,
    interrupt: &mut Interrupt,
) -> Result<InferenceEngine, Failure> {
    if args.backend != BackendName::Mock && args.asks_the_mock() {
        return Err(Failure::Usage {
            message: "--mock-reply and --mock-token-delay-ms are for the mock".to_owned(),
            hint: "add --backend mock, or leave them out",
        });
    }
    let model = model(args, quiet, interrupt).await?;
    let mut load = InferenceEngine::load(model.configure(|configuration| {
        let generate = params.over(&configuration.generate);
        configuration
            .with_load(args.load_options())
            .with_generate(generate)
    }));
    load = match args.backend {
        BackendName::Auto => load,
        BackendName::Mlx => load.backend(BackendPolicy::require("mlx")),
        BackendName::Cpu => load.backend(BackendPolicy::require("cpu")),
        BackendName::Mock => load.with_backend(Arc::new(mock(args)?)),
    };
    let bar = if quiet { None } else { progress_bar() };
    if let Some(bar) = bar.clone() {
        load = load.progress(move |step| show(&bar, step));
    }
    let loaded = interrupt.or(load.into_future()).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let engine = loaded.ok_or(Failure::Interrupted)?.map_err(Failure::Load)?;
    if !quiet {
        note::say(&report::loaded(&engine));
    }
    Ok(engine)
}

fn progress_bar() -> Option<ProgressBar> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let style =
        ProgressStyle::with_template("{msg:>16} {bar:30} {binary_bytes}/{binary_total_bytes}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    Some(bar)
}

fn show(bar: &ProgressBar, step: LoadProgress) {
    bar.set_message(match step.stage {
        LoadStage::Reading => "reading files",
        LoadStage::Tokenizer => "tokenizer",
        LoadStage::Weights => "loading weights",
        _ => "ready",
    });
    if step.total_bytes > 0 {
        bar.set_length(step.total_bytes);
    }
    bar.set_position(step.done_bytes);
}

/// The model's files. The mock reads none, so it needs none.
async fn model(
    args: &ModelArgs,
    quiet: bool,
    interrupt: &mut Interrupt,
) -> Result<StoredModel, Failure> {
    let Some(name) = &args.model else {
        if args.backend == BackendName::Mock {
            return Ok(ModelConfiguration::from_path("mock").into());
        }
        return Err(Failure::Usage {
            message: "there is no model".to_owned(),
            hint: "name one with --model MODEL, or set MLXENGINE_MODEL; `mlxengine models search` lists some",
        });
    };
    match name.to_str() {
        _ if args.backend == BackendName::Mock => Ok(ModelConfiguration::from_path(name).into()),
        // No name of the registry or the Hub, so there is no need for either.
        Some(text) if !NamedModel::is_path(text) => store::open(text, quiet, interrupt).await,
        _ => StoredModel::at(name).map_err(Failure::Open),
    }
}

fn mock(args: &ModelArgs) -> Result<MockBackend, Failure> {
    let mut mock = MockBackend::builder();
    if let Some(reply) = &args.mock_reply {
        mock = mock.scripted(Script::new().reply(reply));
    }
    if let Some(delay) = args.mock_token_delay_ms {
        mock = mock.token_delay(Duration::from_millis(delay));
    }
    mock.build().map_err(Failure::Load)
}
