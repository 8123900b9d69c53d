//! Which backend loads a model.

use std::sync::Arc;

use engine_core::{Availability, Backend, DeviceChoice, Error, Result, Suitability};

/// How a backend is chosen.
///
/// Only availability decides. A backend that can run here and then fails to load the model is an
/// error, never a reason to try the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendPolicy {
    /// The real backend that suits this machine best: MLX where Metal or CUDA answers, otherwise the
    /// one for the processor. A device that the load options ask for counts. Never a simulation.
    #[default]
    Auto,
    /// The built-in backend of this name and no other; `"mock"` included.
    Require(String),
    /// As [`BackendPolicy::Auto`]; where no real backend can run, the mock, which writes one warning
    /// to the log and whose
    /// [`InferenceEngine::is_simulated`](crate::InferenceEngine::is_simulated) is true.
    AllowSimulation,
}

impl BackendPolicy {
    /// The built-in backend of this name and no other.
    pub fn require(name: impl Into<String>) -> Self {
        Self::Require(name.into())
    }
}

/// The backends built into this program.
///
/// Ask each for its [`Backend::info`] and its [`Backend::availability`].
pub fn backends() -> Vec<Arc<dyn Backend>> {
    vec![
        #[cfg(feature = "mlx")]
        Arc::new(engine_mlx::MlxBackend::new()),
        #[cfg(feature = "cpu")]
        Arc::new(engine_cpu::CpuBackend::new()),
        #[cfg(feature = "mock")]
        Arc::new(engine_mock::MockBackend::default()),
    ]
}

/// The names of all backends that some build has.
const KNOWN: [&str; 3] = ["mlx", "cpu", "mock"];

/// Picks among the backends given, for a device that was asked for.
pub(crate) fn choose(
    policy: &BackendPolicy,
    mut backends: Vec<Arc<dyn Backend>>,
    device: DeviceChoice,
) -> Result<Arc<dyn Backend>> {
    if let BackendPolicy::Require(name) = policy {
        return require(name, backends);
    }
    // Those that suit alike stay in order.
    backends.sort_by_cached_key(|backend| rank(backend.suitability(), device));
    first_ready(backends, *policy == BackendPolicy::AllowSimulation)
}

/// Lower is better.
fn rank(suitability: Suitability, device: DeviceChoice) -> u8 {
    let for_processor = matches!(device, DeviceChoice::Cpu);
    // Where a GPU is asked for and none answers, the backend that knows GPUs says why.
    let for_gpu = matches!(device, DeviceChoice::Metal | DeviceChoice::Cuda);
    match suitability {
        Suitability::Accelerated if for_processor => 2,
        Suitability::Accelerated => 0,
        Suitability::Fallback if for_gpu => 1,
        Suitability::Native => 2 - u8::from(for_processor),
        _ => 3,
    }
}

fn require(name: &str, backends: Vec<Arc<dyn Backend>>) -> Result<Arc<dyn Backend>> {
    let names: Vec<String> = backends.iter().map(|b| b.info().name).collect();
    match backends.into_iter().find(|b| b.info().name == name) {
        Some(backend) => check(backend.as_ref()).map(|()| backend),
        None if KNOWN.contains(&name) => Err(Error::Unavailable {
            backend: name.to_owned(),
            reason: left_out(name),
        }),
        None => Err(Error::Unavailable {
            backend: name.to_owned(),
            reason: format!("no backend has this name; there are {}", names.join(", ")),
        }),
    }
}

fn first_ready(backends: Vec<Arc<dyn Backend>>, simulate: bool) -> Result<Arc<dyn Backend>> {
    let (simulated, real): (Vec<_>, Vec<_>) =
        backends.into_iter().partition(|b| b.info().simulated);
    let mut refusals = Refusals::default();
    for backend in real {
        match refusal(backend.as_ref()) {
            None => return Ok(backend),
            Some(reason) => refusals.push(backend.info().name, reason),
        }
    }
    if refusals.0.is_empty() {
        refusals.push("cpu".to_owned(), left_out("cpu"));
    }
    if simulate {
        for backend in simulated {
            let name = backend.info().name;
            match refusal(backend.as_ref()) {
                None => {
                    // The simulation itself warns when it loads; this is the reason.
                    tracing::info!(
                        "no real backend can run here, so {name} is taken: {}",
                        refusals.listed()
                    );
                    return Ok(backend);
                }
                Some(reason) => refusals.push(name, reason),
            }
        }
    }
    Err(refusals.into_error())
}

/// Whether a backend can run here, as an error that says why not.
pub(crate) fn check(backend: &dyn Backend) -> Result<()> {
    match refusal(backend) {
        None => Ok(()),
        Some(reason) => Err(Error::Unavailable {
            backend: backend.info().name,
            reason,
        }),
    }
}

fn refusal(backend: &dyn Backend) -> Option<String> {
    match backend.availability() {
        Availability::Ready { .. } => None,
        Availability::Unavailable { reason } => Some(reason),
        other => Some(format!("it answered {other:?}")),
    }
}

fn left_out(name: &str) -> String {
    format!("this build leaves it out; enable the feature `{name}` of the crate `mlxengine`")
}

/// The backends that can't run here, each with its reason.
#[derive(Default)]
struct Refusals(Vec<(String, String)>);

impl Refusals {
    fn push(&mut self, name: String, reason: String) {
        self.0.push((name, reason));
    }

    fn listed(&self) -> String {
        let lines: Vec<String> = self
            .0
            .iter()
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect();
        lines.join("; ")
    }

    fn into_error(mut self) -> Error {
        let reason = self.listed();
        let names: Vec<String> = self.0.iter().map(|(name, _)| name.clone()).collect();
        match self.0.pop() {
            Some((backend, reason)) if self.0.is_empty() => Error::Unavailable { backend, reason },
            _ => Error::Unavailable {
                backend: names.join(" or "),
                reason,
            },
        }
    }
}

#[cfg(test)]
mod tests;
