//! An engine under test, and how the cases ask it.

use std::{collections::HashMap, fmt, sync::Arc};

use engine_core::{
    Backend, BoxFuture, Engine, EngineExt, Field, FinishReason, GenerateParams, GenerateRequest,
    GenerationStream, LoadRequest, Message, Prompt, Result,
};
use futures_executor::block_on;

use super::{
    looks::{least_sequences, wait_for_sequences},
    recording::{Answer, Recording},
};
use crate::case::{CaseResult, OrFail, Stop, ensure};

type Load = Arc<dyn Fn() -> BoxFuture<Result<Arc<dyn Engine>>> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) load: Load,
    pub(super) backend: Option<(Arc<dyn Backend>, LoadRequest)>,
    pub(super) prompts: Vec<String>,
    pub(super) chat: Vec<Message>,
    pub(super) answer_tokens: u32,
    pub(super) agreement: usize,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("backend", &self.backend)
            .field("prompts", &self.prompts)
            .field("chat", &self.chat)
            .field("answer_tokens", &self.answer_tokens)
            .field("agreement", &self.agreement)
            .finish_non_exhaustive()
    }
}

impl Settings {
    pub(super) fn new(load: Load) -> Self {
        Self {
            load,
            backend: None,
            prompts: [
                "The history of the sea begins with",
                "Here are three emoji and what they mean: 🦀",
            ]
            .map(str::to_owned)
            .into(),
            chat: vec![
                Message::system("You answer in full sentences."),
                Message::user("What is a river?"),
            ],
            answer_tokens: 24,
            agreement: usize::MAX,
        }
    }
}

/// The fewest tokens that an answer must have for the cases to say anything.
const SHORTEST_ANSWER: usize = 8;

pub(super) struct Subject {
    pub(super) settings: Settings,
    engine: Option<Arc<dyn Engine>>,
    greedy: HashMap<String, Answer>,
    idle: Option<u32>,
}

impl Subject {
    pub(super) fn new(settings: Settings) -> CaseResult<Self> {
        ensure!(
            !settings.prompts.is_empty(),
            "the suite was given no prompt"
        );
        ensure!(
            settings.answer_tokens as usize >= SHORTEST_ANSWER,
            "answers of {} tokens are too short: the suite needs {SHORTEST_ANSWER}",
            settings.answer_tokens
        );
        Ok(Self {
            settings,
            engine: None,
            greedy: HashMap::new(),
            idle: None,
        })
    }

    /// The engine, loaded when it is first asked for.
    pub(super) fn engine(&mut self) -> CaseResult<Arc<dyn Engine>> {
        if let Some(engine) = &self.engine {
            return Ok(Arc::clone(engine));
        }
        let engine = block_on((self.settings.load)()).or_fail("load the engine")?;
        self.engine = Some(Arc::clone(&engine));
        self.idle = None;
        Ok(engine)
    }

    /// The engine, for a case that unloads it: the next case loads a new one.
    pub(super) fn take_engine(&mut self) -> CaseResult<Arc<dyn Engine>> {
        let engine = self.engine()?;
        self.engine = None;
        Ok(engine)
    }

    pub(super) fn prompts(&self) -> Vec<String> {
        self.settings.prompts.clone()
    }

    pub(super) fn prompt(&self) -> String {
        self.settings.prompts[0].clone()
    }

    /// Skips the case unless the engine claims every field.
    pub(super) fn needs(&mut self, fields: &[Field]) -> CaseResult {
        let supported = self.engine()?.capabilities().fields;
        match fields.iter().find(|field| !supported.contains(**field)) {
            None => Ok(()),
            Some(field) => Err(Stop::NotApplicable(format!(
                "the engine does not claim {field}"
            ))),
        }
    }

    /// Settings of the unconstrained answer that other answers are compared with.
    pub(super) fn greedy_params(&self) -> GenerateParams {
        GenerateParams::greedy().with_max_tokens(self.settings.answer_tokens)
    }

    /// Settings that draw from the model's own distribution.
    pub(super) fn sampled_params(&self, seed: u64) -> GenerateParams {
        self.greedy_params().with_temperature(1.0).with_seed(seed)
    }

    /// Settings of a generation that goes on until the context is full, or, if the engine can't
    /// ignore the end of a text, until the model ends it.
    pub(super) fn long_params(&mut self) -> CaseResult<GenerateParams> {
        let mut params = GenerateParams::greedy().with_max_tokens(u32::MAX);
        params.ignore_eos = self
            .engine()?
            .capabilities()
            .fields
            .contains(Field::IgnoreEos);
        Ok(params)
    }

    /// Settings of a generation that certainly goes on; without them the case is skipped.
    pub(super) fn endless_params(&mut self) -> CaseResult<GenerateParams> {
        self.needs(&[Field::IgnoreEos])?;
        self.long_params()
    }

    pub(super) fn start(
        &mut self,
        prompt: impl Into<Prompt>,
        params: GenerateParams,
    ) -> CaseResult<GenerationStream> {
        let request = GenerateRequest::new(prompt.into()).with_params(params);
        self.engine()?.stream(request).or_fail("start a generation")
    }

    pub(super) fn record(
        &mut self,
        prompt: impl Into<Prompt>,
        params: GenerateParams,
    ) -> CaseResult<Recording> {
        let stream = self.start(prompt, params)?;
        Ok(block_on(Recording::of(stream)))
    }

    pub(super) fn answer(
        &mut self,
        prompt: impl Into<Prompt>,
        params: GenerateParams,
    ) -> CaseResult<Answer> {
        self.record(prompt, params)?.into_answer()
    }

    /// The unconstrained greedy answer to a prompt, computed once for each engine.
    pub(super) fn greedy(&mut self, prompt: &str) -> CaseResult<Answer> {
        if let Some(answer) = self.greedy.get(prompt) {
            return Ok(answer.clone());
        }
        let params = self.greedy_params();
        let answer = self.answer(prompt, params)?;
        ensure!(
            answer.tokens.len() >= SHORTEST_ANSWER,
            "the greedy answer to {prompt:?} has only {} tokens; give the suite prompts with \
             longer answers",
            answer.tokens.len()
        );
        self.greedy.insert(prompt.to_owned(), answer.clone());
        Ok(answer)
    }

    /// Fails unless the engine still answers as it did.
    pub(super) fn ensure_usable(&mut self, after: &str) -> CaseResult {
        let prompt = self.prompt();
        let expected = self.greedy(&prompt)?;
        let params = self.greedy_params();
        let answer = self.answer(prompt, params)?;
        ensure!(
            answer.is_same_as(&expected),
            "{after} the answer is {} instead of {}",
            answer.in_words(),
            expected.in_words()
        );
        Ok(())
    }

    /// How many sequences the engine counts while nothing runs, once that is so again.
    ///
    /// An engine may keep some: a cache of prompts holds what it has read.
    pub(super) fn idle_sequences(&mut self) -> CaseResult<u32> {
        let prompt = self.prompt();
        self.greedy(&prompt)?;
        let engine = self.engine()?;
        let idle = match self.idle {
            Some(idle) => idle,
            None => *self
                .idle
                .insert(block_on(least_sequences(engine.as_ref()))?),
        };
        self.wait_for_sequences(idle, "before the case began")?;
        Ok(idle)
    }

    /// Waits until a generation that nobody listens to any more has been freed.
    pub(super) fn wait_for_sequences(&mut self, expected: u32, when: &str) -> CaseResult {
        let prompt = self.prompt();
        let answer = self.greedy(&prompt)?;
        let pace = answer.summary.timings.decode / answer.tokens.len().max(1) as u32;
        let engine = self.engine()?;
        block_on(wait_for_sequences(engine.as_ref(), expected, pace))
            .map_err(|stop| stop.under(when))
    }
}

/// Whether an answer ended because it was long enough, and not by itself.
pub(super) fn ran_to_its_limit(answer: &Answer) -> bool {
    matches!(
        answer.finish(),
        FinishReason::MaxTokens | FinishReason::ContextFull
    )
}
