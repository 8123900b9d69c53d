//! Lets a model use tools until it has its answer.

use std::{fmt, num::NonZeroU32};

use engine_core::{
    BoxFuture, Completion, EngineExt, GenerateParams, GenerateRequest, GenerationEvent, Message,
    ReasoningOptions, Result, ToolCall, ToolChoice, ToolFormat, ToolOptions,
};

use crate::{InferenceEngine, ToolBox};

/// Steps unless others are asked for.
const STEPS: NonZeroU32 = NonZeroU32::MIN.saturating_add(7);

type Show = Box<dyn FnMut(&GenerationEvent) + Send>;

/// A model at work with tools: it is asked, its calls are carried out, it is asked again with their
/// results, until it answers without a call.
///
/// Made by [`InferenceEngine::use_tools`]. Calls of one answer are carried out one after another.
/// A call that can be read and does not fit is told to the model, as is a tool's error. Dropping
/// the future stops.
#[must_use = "nothing happens before it runs"]
pub struct ToolLoop {
    engine: InferenceEngine,
    tools: ToolBox,
    messages: Vec<Message>,
    options: ToolOptions,
    params: GenerateParams,
    reasoning: ReasoningOptions,
    steps: NonZeroU32,
    show: Show,
}

impl fmt::Debug for ToolLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolLoop")
            .field("tools", &self.tools)
            .field("messages", &self.messages)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// How the work with tools ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ToolRun {
    /// Why it ended.
    pub finish: ToolRunFinish,
    /// The whole chat: what it began with, every answer with its calls, and their results.
    pub messages: Vec<Message>,
    /// The last answer.
    pub answer: Completion,
    /// How often the model was asked.
    pub steps: u32,
}

/// Why the work with tools ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolRunFinish {
    /// The model answered without a call.
    Answered,
    /// The model was asked as often as it may be, and still calls tools. The calls of its last
    /// answer were not carried out.
    StepLimit,
    /// The model wrote a call that can't be read, and none that can;
    /// [`Completion::invalid_tool_calls`] says why.
    UnreadableCall,
}

impl InferenceEngine {
    /// Lets the model answer a chat with the help of tools: set what you need, then `.run().await`.
    pub fn use_tools(&self, messages: impl Into<Vec<Message>>, tools: ToolBox) -> ToolLoop {
        ToolLoop {
            engine: self.clone(),
            messages: messages.into(),
            options: ToolOptions::new(tools.definitions()),
            tools,
            params: self.params().clone(),
            reasoning: ReasoningOptions::default(),
            steps: STEPS,
            show: Box::new(|_| ()),
        }
    }
}

impl ToolLoop {
    /// With these settings.
    pub fn params(mut self, params: GenerateParams) -> Self {
        self.params = params;
        self
    }

    /// With these settings of the model's thinking.
    pub fn reasoning(mut self, reasoning: ReasoningOptions) -> Self {
        self.reasoning = reasoning;
        self
    }

    /// With calls in this format, whatever the model's files say.
    pub fn format(mut self, format: ToolFormat) -> Self {
        self.options.format = Some(format);
        self
    }

    /// Whether the model must call a tool, or a certain one, before it answers. Default: it decides.
    ///
    /// It holds for the first time that the model is asked: from then on it decides, since a model
    /// that had to call a tool each time would never answer. [`ToolChoice::None`] holds throughout.
    pub fn choice(mut self, choice: ToolChoice) -> Self {
        self.options.choice = choice;
        self
    }

    /// How often the model may be asked. Default 8.
    pub fn max_steps(mut self, steps: NonZeroU32) -> Self {
        self.steps = steps;
        self
    }

    /// Shows the events of all answers as they come.
    pub fn events(mut self, show: impl FnMut(&GenerationEvent) + Send + 'static) -> Self {
        self.show = Box::new(show);
        self
    }

    /// Works until there is an answer, or the steps are spent, which [`ToolRun::finish`] says.
    ///
    /// # Errors
    /// As [`InferenceEngine::generate`].
    pub fn run(self) -> BoxFuture<Result<ToolRun>> {
        Box::pin(self.work())
    }

    async fn work(mut self) -> Result<ToolRun> {
        let mut steps = 0;
        loop {
            let answer = self.ask().await?;
            steps += 1;
            if self.options.choice != ToolChoice::None {
                self.options.choice = ToolChoice::Auto;
            }
            let Turn {
                message,
                calls,
                unreadable,
            } = Turn::of(&answer);
            self.messages.push(message);
            let finish = if calls.is_empty() {
                if unreadable {
                    ToolRunFinish::UnreadableCall
                } else {
                    ToolRunFinish::Answered
                }
            } else if steps == self.steps.get() {
                ToolRunFinish::StepLimit
            } else {
                for (call, problem) in calls {
                    let result = match problem {
                        None => self.tools.call(call).await,
                        Some(problem) => Message::tool_result(&call, format!("error: {problem}")),
                    };
                    self.messages.push(result);
                }
                continue;
            };
            return Ok(ToolRun {
                finish,
                messages: self.messages,
                answer,
                steps,
            });
        }
    }

    /// One answer to the chat as it stands.
    async fn ask(&mut self) -> Result<Completion> {
        let request = GenerateRequest::chat(self.messages.clone())
            .with_params(self.params.clone())
            .with_tools(self.options.clone())
            .with_reasoning(self.reasoning);
        let events = EngineExt::stream(self.engine.as_engine().as_ref(), request)?;
        Completion::collect(events, &mut self.show).await
    }
}

/// An answer as a turn of the chat.
struct Turn {
    message: Message,
    /// The calls that could be read, with what is wrong with them.
    calls: Vec<(ToolCall, Option<String>)>,
    unreadable: bool,
}

impl Turn {
    fn of(answer: &Completion) -> Self {
        let mut calls: Vec<_> = answer
            .tool_calls
            .iter()
            .map(|call| (call.clone(), None))
            .collect();
        let mut content = answer.text.clone();
        let mut unreadable = false;
        for invalid in &answer.invalid_tool_calls {
            match invalid.problem.call() {
                None => unreadable = true,
                Some(call) => {
                    calls.push((call.clone(), Some(invalid.problem.to_string())));
                    // It is one of the message's calls, and so no part of its text.
                    content = content.replacen(&invalid.text, "", 1);
                }
            }
        }
        let message = Message::assistant(content)
            .with_reasoning(answer.reasoning.clone().unwrap_or_default())
            .with_tool_calls(calls.iter().map(|(call, _)| call.clone()));
        Self {
            message,
            calls,
            unreadable,
        }
    }
}
