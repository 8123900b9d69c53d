//! The contract of [`Engine`] and [`Backend`] as cases.

mod answers;
mod cancel;
mod chats;
mod concurrency;
mod errors;
mod fields;
mod lifecycle;
mod load;
mod looks;
mod previews;
mod prompts;
mod recording;
mod sampling;
mod stop;
mod stream;
mod structure;
mod subject;
mod text;

use std::{sync::Arc, time::Duration};

use engine_core::{Backend, BoxFuture, Engine, LoadRequest, Message, Progress, Result};

use self::subject::{Settings, Subject};
use crate::{case::Case, report::Report, runner};

/// The suite for an [`Engine`], and for the [`Backend`] that loads it.
#[derive(Clone, Debug)]
pub struct EngineSuite {
    settings: Settings,
    deadline: Duration,
    only: Option<Vec<&'static str>>,
}

impl EngineSuite {
    /// A suite over a backend and a model that it can load. The cases about loading apply.
    pub fn of_backend(backend: Arc<dyn Backend>, request: LoadRequest) -> Self {
        let loader = Arc::clone(&backend);
        let asked = request.clone();
        let mut suite = Self::new(move || loader.load(asked.clone(), Progress::silent()));
        suite.settings.backend = Some((backend, request));
        suite
    }

    /// A suite over engines from anywhere. `load` is called once, and again after each case that
    /// failed or that unloads its engine.
    pub fn new(
        load: impl Fn() -> BoxFuture<Result<Arc<dyn Engine>>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            settings: Settings::new(Arc::new(load)),
            deadline: Duration::from_mins(2),
            only: None,
        }
    }

    /// Texts to continue: at least one, each with a greedy answer of some ten tokens or more. An
    /// answer with characters of several tokens (emoji, Chinese) tests more.
    #[must_use]
    pub fn with_prompts<T: Into<String>>(mut self, prompts: impl IntoIterator<Item = T>) -> Self {
        self.settings.prompts = prompts.into_iter().map(Into::into).collect();
        self
    }

    /// A chat to answer.
    #[must_use]
    pub fn with_chat(mut self, messages: impl Into<Vec<Message>>) -> Self {
        self.settings.chat = messages.into();
        self
    }

    /// The length of an answer, in tokens. Default 24; fewer make a slow model bearable, and at
    /// least 8 are needed.
    #[must_use]
    pub fn with_answer_tokens(mut self, tokens: u32) -> Self {
        self.settings.answer_tokens = tokens;
        self
    }

    /// How many tokens a greedy answer must share with the same answer computed beside others.
    /// Default: all. For a device whose batches round differently.
    #[must_use]
    pub fn with_agreement(mut self, tokens: usize) -> Self {
        self.settings.agreement = tokens;
        self
    }

    /// How long one case may take before it counts as hung. Default two minutes.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs these cases alone, to look at one again. A name that no case has is a failure.
    #[must_use]
    pub fn only(mut self, names: &[&'static str]) -> Self {
        self.only = Some(names.to_vec());
        self
    }

    /// The names of all cases.
    pub fn case_names() -> Vec<&'static str> {
        Self::cases().iter().map(|case| case.name).collect()
    }

    fn cases() -> Vec<Case<Subject>> {
        [
            stream::CASES,
            text::CASES,
            chats::CASES,
            stop::CASES,
            sampling::CASES,
            structure::CASES,
            fields::CASES,
            errors::CASES,
            concurrency::CASES,
            cancel::CASES,
            prompts::CASES,
            lifecycle::CASES,
            load::CASES,
        ]
        .concat()
    }

    /// Runs every case and says how it ended. Never panics and never hangs.
    pub fn run(&self) -> Report {
        let settings = self.settings.clone();
        let make: runner::Make<Subject> = Arc::new(move || Subject::new(settings.clone()));
        runner::run(Self::cases(), self.only.as_deref(), &make, self.deadline)
    }
}
