//! A load under way.

use std::{fmt, future::IntoFuture, sync::Arc};

use engine_core::{Backend, BoxFuture, LoadProgress, ModelConfiguration, Progress, Result};

use crate::{
    BackendPolicy, InferenceEngine, LoadProgressStream,
    load_progress::{self, ProgressCloser, ProgressSender},
    policy,
};

/// A model about to be loaded; `.await` it.
///
/// Made by [`InferenceEngine::load`]. Nothing happens before it is awaited; dropping the future
/// cancels the load and frees what it held.
#[must_use = "nothing is loaded until this is awaited"]
pub struct Load {
    source: LoadSource,
    choice: Choice,
    callback: Option<Box<dyn Fn(LoadProgress) + Send + Sync>>,
    stream: Option<(ProgressSender, ProgressCloser)>,
}

/// What [`InferenceEngine::load`] takes: a [`ModelConfiguration`], or a model of the store, which
/// then stays in use as long as the engine.
#[derive(Debug)]
pub struct LoadSource {
    configuration: ModelConfiguration,
    keep: Option<Keep>,
}

/// Something that lives as long as the engine.
pub(crate) type Keep = Arc<dyn std::any::Any + Send + Sync>;

impl From<ModelConfiguration> for LoadSource {
    fn from(configuration: ModelConfiguration) -> Self {
        Self {
            configuration,
            keep: None,
        }
    }
}

#[cfg(feature = "hub")]
impl From<crate::StoredModel> for LoadSource {
    fn from(model: crate::StoredModel) -> Self {
        let (configuration, in_use) = model.into_parts();
        Self {
            configuration,
            keep: in_use.map(|in_use| Arc::new(in_use) as Keep),
        }
    }
}

enum Choice {
    Policy(BackendPolicy),
    Given(Arc<dyn Backend>),
}

impl Load {
    pub(crate) fn new(source: LoadSource) -> Self {
        Self {
            source,
            choice: Choice::Policy(BackendPolicy::Auto),
            callback: None,
            stream: None,
        }
    }

    /// Chooses among the built-in backends; [`BackendPolicy::Auto`] if neither this nor
    /// [`Load::with_backend`] is called. The last of the two counts.
    pub fn backend(mut self, policy: BackendPolicy) -> Self {
        self.choice = Choice::Policy(policy);
        self
    }

    /// Loads with this backend and no other: one of your own, or a built-in one with its own
    /// settings.
    pub fn with_backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.choice = Choice::Given(backend);
        self
    }

    /// Calls `callback` for every step of the load, from whichever thread loads. It must not block.
    pub fn progress(mut self, callback: impl Fn(LoadProgress) + Send + Sync + 'static) -> Self {
        self.callback = Some(Box::new(callback));
        self
    }

    /// The load and the stream of its steps, to be polled side by side.
    ///
    /// The stream ends with the load, whether that succeeds, fails or is dropped.
    pub fn progress_stream(mut self) -> (Self, LoadProgressStream) {
        let (sender, closer, stream) = load_progress::channel();
        self.stream = Some((sender, closer));
        (self, stream)
    }
}

impl IntoFuture for Load {
    type Output = Result<InferenceEngine>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self {
                source:
                    LoadSource {
                        configuration,
                        keep,
                    },
                choice,
                callback,
                stream,
            } = self;
            configuration.validate()?;
            let backend = match choice {
                Choice::Policy(policy) => {
                    let device = configuration.load.device;
                    policy::choose(&policy, crate::backends(), device)?
                }
                Choice::Given(backend) => {
                    policy::check(backend.as_ref())?;
                    backend
                }
            };
            // The closer lives as long as this future.
            let (sender, _closer) = stream.unzip();
            let progress = Progress::new(move |step| {
                if let Some(callback) = &callback {
                    callback(step);
                }
                if let Some(sender) = &sender {
                    sender.send(step);
                }
            });
            tracing::debug!(
                backend = backend.info().name,
                path = %configuration.path.display(),
                "loading"
            );
            let engine = backend.load(configuration.load_request(), progress).await?;
            Ok(InferenceEngine::new(engine, configuration.generate).keeping(keep))
        })
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Load");
        debug.field("source", &self.source);
        match &self.choice {
            Choice::Policy(policy) => debug.field("policy", policy),
            Choice::Given(backend) => debug.field("backend", backend),
        };
        debug.finish_non_exhaustive()
    }
}
