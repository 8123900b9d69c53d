//! A conversation: its history, its turns, and what is kept of it.

mod context;
mod error;
mod export;
mod history;
mod options;
mod saved;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::{Message, PartialCompletion};
use futures_util::lock::{Mutex as AsyncMutex, OwnedMutexGuard};

pub use self::{
    error::{ChatError, ChatResult},
    export::ChatFormat,
    options::{ChatOptions, Overflow, WhenBusy, WhenCancelled},
    stream::{ChatAnswer, ChatEvent, ChatStream},
};
use self::{
    history::{History, Turn},
    stream::Running,
};
use crate::InferenceEngine;

/// A conversation with a model.
///
/// Cloning gives another handle on the same conversation; [`ChatSession::branch`] makes a new one.
/// One turn is answered at a time, and others wait or are refused: [`WhenBusy`].
///
/// A turn costs its new tokens: the engine's prompt cache holds the conversation so far, and the
/// next request begins with it. Where the model's template writes earlier turns in another way than
/// they were generated, the tokens up to the first difference are reused.
#[derive(Clone, Debug)]
pub struct ChatSession {
    engine: InferenceEngine,
    options: ChatOptions,
    history: Arc<Mutex<History>>,
    /// Held by the turn that is being answered, and while the history is changed.
    turn: Arc<AsyncMutex<()>>,
}

impl ChatSession {
    /// An empty conversation, with the engine's settings and [`ChatOptions::default`].
    pub fn new(engine: &InferenceEngine) -> Self {
        Self::with_history(engine, ChatOptions::default(), History::default())
    }

    /// A conversation that goes on from these messages.
    pub fn from_messages(engine: &InferenceEngine, messages: impl Into<Vec<Message>>) -> Self {
        let history = History::new(messages.into(), 0);
        Self::with_history(engine, ChatOptions::default(), history)
    }

    fn with_history(engine: &InferenceEngine, options: ChatOptions, history: History) -> Self {
        Self {
            engine: engine.clone(),
            options,
            history: Arc::new(Mutex::new(history)),
            turn: Arc::default(),
        }
    }

    /// With instructions in place of those that there are; a blank text takes them away.
    #[must_use]
    pub fn with_system(self, instructions: impl AsRef<str>) -> Self {
        self.lock().set_system(instructions.as_ref());
        self
    }

    /// With other settings. They belong to this handle; other handles on the same conversation keep
    /// theirs.
    #[must_use]
    pub fn with_options(mut self, options: ChatOptions) -> Self {
        self.options = options;
        self
    }

    /// Sends what the user says; the stream brings the answer.
    pub fn send(&self, text: impl Into<String>) -> ChatStream {
        self.send_message(Message::user(text))
    }

    /// Sends a message of the user or of a tool; the stream brings the answer.
    pub fn send_message(&self, message: Message) -> ChatStream {
        self.take_turn(Turn::Add(message))
    }

    /// Sends what the user says, and waits for the whole answer.
    ///
    /// # Errors
    /// [`ChatError::Busy`], or what the engine says; the history is as it was before.
    pub async fn ask(&self, text: impl Into<String>) -> ChatResult<ChatAnswer> {
        self.send(text).finish().await
    }

    /// Answers the history as it stands, whose last message is the user's or a tool's.
    pub fn answer(&self) -> ChatStream {
        self.take_turn(Turn::Answer)
    }

    /// Answers the last question once more. The old answer stays until the new one is complete.
    pub fn regenerate(&self) -> ChatStream {
        self.take_turn(Turn::Regenerate)
    }

    /// Puts another text in place of the user's message of this number, counted from 0, and answers
    /// it. What came after it goes once the new answer is complete.
    pub fn edit(&self, index: usize, text: impl Into<String>) -> ChatStream {
        self.take_turn(Turn::Edit {
            index,
            content: text.into(),
        })
    }

    fn take_turn(&self, turn: Turn) -> ChatStream {
        if self.options.when_busy == WhenBusy::Wait {
            return ChatStream::waiting(self.clone(), turn);
        }
        match self.turn.try_lock_owned() {
            Some(guard) => ChatStream::ready(self.clone(), turn, guard),
            None => ChatStream::refused(self.clone(), ChatError::Busy),
        }
    }

    /// Starts the answer to a turn.
    fn begin(&self, turn: &Turn, guard: OwnedMutexGuard<()>) -> ChatResult<Running> {
        let mut history = self.lock().with_turn(turn)?;
        let params = match &self.options.params {
            Some(params) => params.clone(),
            None => self.engine.params().clone(),
        };
        let left_out = context::fit(&mut history, &self.engine, &self.options, &params)?;
        let request = self.options.request(history.read(), params);
        Ok(Running {
            events: self.engine.start(request)?,
            history,
            left_out,
            answer: PartialCompletion::default(),
            _turn: guard,
        })
    }

    /// Puts a question and its answer into the history.
    fn commit(&self, running: Running) {
        let Running {
            mut history,
            answer,
            ..
        } = running;
        history.push(answer.to_message());
        *self.lock() = history;
    }

    /// The messages so far. A turn that is being answered is not among them.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().messages().to_vec()
    }

    /// The number of messages so far.
    pub fn len(&self) -> usize {
        self.lock().messages().len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of the first so many messages the model reads only the instructions: see
    /// [`Overflow::DropOldest`].
    pub fn left_out(&self) -> usize {
        self.lock().left_out()
    }

    /// Whether a turn is being answered.
    pub fn is_busy(&self) -> bool {
        self.turn.try_lock().is_none()
    }

    /// Adds a message without an answer to it: an example, what a tool said.
    ///
    /// # Errors
    /// [`ChatError::Busy`] while a turn is being answered, as of every change below.
    pub fn push(&self, message: Message) -> ChatResult<()> {
        self.change(|history| {
            history.push(message);
            Ok(())
        })
    }

    /// Replaces the instructions; a blank text takes them away.
    ///
    /// # Errors
    /// [`ChatError::Busy`].
    pub fn set_system(&self, instructions: impl AsRef<str>) -> ChatResult<()> {
        self.change(|history| {
            history.set_system(instructions.as_ref());
            Ok(())
        })
    }

    /// Cuts the history back to its first `len` messages; a `len` beyond its own changes nothing.
    ///
    /// # Errors
    /// [`ChatError::Busy`].
    pub fn truncate(&self, len: usize) -> ChatResult<()> {
        self.change(|history| {
            history.truncate(len);
            Ok(())
        })
    }

    /// Forgets everything but the instructions.
    ///
    /// # Errors
    /// [`ChatError::Busy`].
    pub fn clear(&self) -> ChatResult<()> {
        self.change(|history| {
            history.clear();
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut History) -> ChatResult<()>) -> ChatResult<()> {
        let _turn = self.turn.try_lock().ok_or(ChatError::Busy)?;
        change(&mut self.lock())
    }

    /// A new conversation that begins with the messages up to this one, counted from 0. The two
    /// share what the engine has read of them, and nothing else.
    ///
    /// # Errors
    /// [`ChatError::NoSuchMessage`].
    pub fn branch(&self, index: usize) -> ChatResult<Self> {
        let mut history = self.lock().clone();
        history.message(index)?;
        history.truncate(index + 1);
        Ok(Self::with_history(
            &self.engine,
            self.options.clone(),
            history,
        ))
    }

    /// The conversation as text. [`ChatFormat::Json`] is what [`ChatSession::restore`] reads.
    pub fn export(&self, format: ChatFormat) -> String {
        let history = self.lock().clone();
        match format {
            ChatFormat::Json => saved::to_json(&history, &self.options, &self.engine.info().name),
            other => export::to_text(history.messages(), other),
        }
    }

    /// The conversation of a [`ChatFormat::Json`] export, with its settings. It goes on as the
    /// exported one would.
    ///
    /// # Errors
    /// [`ChatError::Saved`] if the text is damaged, of another version, or has a field that this
    /// version does not know.
    pub fn restore(engine: &InferenceEngine, json: &str) -> ChatResult<Self> {
        let (history, options) = saved::from_json(json)?;
        Ok(Self::with_history(engine, options, history))
    }

    /// What answers.
    pub fn engine(&self) -> &InferenceEngine {
        &self.engine
    }

    /// The settings of this handle.
    pub fn options(&self) -> &ChatOptions {
        &self.options
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
