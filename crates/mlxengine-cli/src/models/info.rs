//! `mlxengine models info`: what is known about one model.

use indicatif::DecimalBytes;
use mlxengine::{
    Availability, MemoryEstimate, ModelDescription,
    registry::{Place, Runs},
};
use serde::Serialize;

use crate::{args::InfoArgs, failure::Failure, interrupt::Interrupt, output::Output, store};

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    model: &'a ModelDescription,
    memory: Option<Memory>,
}

#[derive(Serialize)]
struct Memory {
    context: u32,
    #[serde(flatten)]
    estimate: MemoryEstimate,
    total_bytes: u64,
}

pub(crate) async fn run(args: InfoArgs) -> Result<(), Failure> {
    let store = store::from_environment()?;
    let model = store.find(&args.model).map_err(Failure::Store)?;
    let mut interrupt = Interrupt::new();
    let described = interrupt.or(store.describe(&model)).await;
    let described = described
        .ok_or(Failure::Interrupted)?
        .map_err(Failure::Store)?;
    let memory = described
        .memory_estimate(args.context, element_bytes())
        .map(|estimate| Memory {
            context: args.context,
            total_bytes: estimate.total_bytes(),
            estimate,
        });
    let mut output = Output::new();
    if args.json {
        return output.json(&Report {
            model: &described,
            memory,
        });
    }
    output.text(&in_words(&described, memory.as_ref()))
}

/// Bytes of the numbers that this machine computes with: MLX's CPU device widens them to 4, GPUs
/// take them as they are published.
fn element_bytes() -> u32 {
    let on_cpu = mlxengine::backends().iter().any(|backend| {
        let device = match backend.availability() {
            Availability::Ready { device } => device.to_lowercase(),
            _ => return false,
        };
        !backend.info().simulated && device.contains("cpu")
    });
    if on_cpu { 4 } else { 2 }
}

/// A line for each thing that is known.
fn in_words(described: &ModelDescription, memory: Option<&Memory>) -> String {
    let entry = &described.entry;
    let place = match &entry.place {
        Place::Hub { repo, .. } => Some(repo.clone()),
        Place::Local { path } => Some(path.display().to_string()),
        _ => None,
    };
    let quantization = entry
        .quantization
        .map(|q| format!("{} bits in groups of {}", q.bits, q.group_size));
    let can: Vec<_> = entry.capabilities.iter().map(|c| c.name()).collect();
    let memory = memory.map(|memory| {
        let bytes = DecimalBytes(memory.total_bytes);
        format!("{bytes} with {} tokens", memory.context)
    });
    let gated = described.gated.unwrap_or_default();
    let runs = match &entry.runs {
        Runs::Yes => "yes".to_owned(),
        Runs::NotYet { reason } => format!("not yet: {reason}"),
        _ => "unknown".to_owned(),
    };
    let here = described.path.as_ref();
    let here = here.map_or("no".to_owned(), |path| path.display().to_string());
    let size = |bytes: Option<u64>| bytes.map(|bytes| DecimalBytes(bytes).to_string());
    let list = |words: String| (!words.is_empty()).then_some(words);
    let lines = [
        ("name", Some(entry.name.clone())),
        ("from", place),
        ("commit", described.commit.clone()),
        ("family", entry.family.clone()),
        ("architecture", entry.model_type.clone()),
        ("parameters", entry.parameters.map(parameters)),
        ("quantization", quantization),
        ("context", entry.context.map(|context| context.to_string())),
        ("licence", entry.license.clone()),
        ("can", list(can.join(", "))),
        ("tags", list(entry.tags.join(", "))),
        ("weights", size(described.weight_bytes)),
        ("memory", memory),
        (
            "gated",
            gated.then(|| "yes, ask for access on its page".to_owned()),
        ),
        ("runs", Some(runs)),
        ("here", Some(here)),
    ];
    lines
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<14}{}\n", value?)))
        .collect()
}

/// Millions and billions, as models are named.
pub(super) fn parameters(count: u64) -> String {
    let count = count as f64;
    if count >= 1e9 {
        format!("{:.1} billion", count / 1e9)
    } else {
        format!("{:.0} million", count / 1e6)
    }
}
