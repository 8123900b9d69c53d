//! The answer to a turn, while it comes.

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use engine_core::{
    Completion, Error, GenerationEvent, GenerationStream, Message, PartialCompletion,
};
use futures_core::Stream;
use futures_util::lock::{OwnedMutexGuard, OwnedMutexLockFuture};

use super::{
    ChatSession,
    error::{ChatError, ChatResult},
    history::{History, Turn},
    options::WhenCancelled,
};

/// What happens during a turn.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// The context was full, and the model no longer reads the messages of these numbers;
    /// instructions among them it still does. Comes first, if at all.
    LeftOut(Range<usize>),
    /// An event of the generation.
    Generation(GenerationEvent),
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatAnswer {
    /// The message, as it is in the history now.
    pub message: Message,
    /// Its text, thoughts, calls and tokens, why it ended, and what it took.
    pub completion: Completion,
    /// The messages that the model no longer reads since this turn; `None` if it reads all that it
    /// read before.
    pub left_out: Option<Range<usize>>,
}

/// The events of a turn.
///
/// The turn begins at the first poll. When the last event comes, question and answer are in the
/// history. After an error the history is what it was before. What becomes of an answer that is
/// dropped before its end, [`WhenCancelled`] says.
#[must_use = "a turn begins when its stream is polled"]
pub struct ChatStream {
    session: ChatSession,
    state: State,
}

enum State {
    /// Another turn may be running.
    Waiting(Turn, OwnedMutexLockFuture<()>),
    /// No other turn is running.
    Ready(Turn, OwnedMutexGuard<()>),
    /// Refused before it began.
    Refused(ChatError),
    Running(Box<Running>),
    Ended,
}

/// A turn that is being answered.
pub(super) struct Running {
    /// With the question, and without the answer.
    pub(super) history: History,
    pub(super) left_out: Option<Range<usize>>,
    pub(super) events: GenerationStream,
    /// What has come of the answer.
    pub(super) answer: PartialCompletion,
    /// Held to the end, so that no other turn begins.
    pub(super) _turn: OwnedMutexGuard<()>,
}

impl ChatStream {
    pub(super) fn waiting(session: ChatSession, turn: Turn) -> Self {
        let lock = session.turn.clone().lock_owned();
        Self {
            session,
            state: State::Waiting(turn, lock),
        }
    }

    pub(super) fn ready(session: ChatSession, turn: Turn, guard: OwnedMutexGuard<()>) -> Self {
        Self {
            session,
            state: State::Ready(turn, guard),
        }
    }

    pub(super) fn refused(session: ChatSession, error: ChatError) -> Self {
        Self {
            session,
            state: State::Refused(error),
        }
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// What ends the stream.
    pub async fn finish(mut self) -> ChatResult<ChatAnswer> {
        let (mut answer, mut left_out) = (PartialCompletion::default(), None);
        while let Some(event) = poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            match event? {
                ChatEvent::LeftOut(messages) => left_out = Some(messages),
                ChatEvent::Generation(event) => {
                    if let Some(completion) = answer.add(event) {
                        return Ok(ChatAnswer {
                            message: completion.clone().into_message(),
                            completion,
                            left_out,
                        });
                    }
                }
            }
        }
        Err(self.ended_early())
    }

    fn ended_early(&self) -> ChatError {
        let backend = &self.session.engine().backend().name;
        Error::backend(
            backend,
            "finish an answer",
            "the event stream ended without its last event",
        )
        .into()
    }

    /// What the running answer brings next; it runs on unless that was its end.
    fn next_of(
        &mut self,
        mut running: Box<Running>,
        cx: &mut Context<'_>,
    ) -> Poll<ChatResult<ChatEvent>> {
        if let Some(messages) = running.left_out.take() {
            self.state = State::Running(running);
            return Poll::Ready(Ok(ChatEvent::LeftOut(messages)));
        }
        let event = match running.events.as_mut().poll_next(cx) {
            Poll::Pending => {
                self.state = State::Running(running);
                return Poll::Pending;
            }
            Poll::Ready(None) => return Poll::Ready(Err(self.ended_early())),
            Poll::Ready(Some(event)) => event?,
        };
        match &event {
            GenerationEvent::Done(_) => self.session.commit(*running),
            other => {
                running.answer.add(other.clone());
                self.state = State::Running(running);
            }
        }
        Poll::Ready(Ok(ChatEvent::Generation(event)))
    }
}

impl Stream for ChatStream {
    type Item = ChatResult<ChatEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Refused(error) => return Poll::Ready(Some(Err(error))),
                State::Waiting(turn, mut lock) => match Pin::new(&mut lock).poll(cx) {
                    Poll::Pending => {
                        self.state = State::Waiting(turn, lock);
                        return Poll::Pending;
                    }
                    Poll::Ready(guard) => self.state = State::Ready(turn, guard),
                },
                State::Ready(turn, guard) => match self.session.begin(&turn, guard) {
                    Err(error) => return Poll::Ready(Some(Err(error))),
                    Ok(running) => self.state = State::Running(Box::new(running)),
                },
                State::Running(running) => return self.next_of(running, cx).map(Some),
            }
        }
    }
}

impl Drop for ChatStream {
    fn drop(&mut self) {
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Ended)
            && self.session.options().when_cancelled == WhenCancelled::KeepPart
            && !running.answer.is_empty()
        {
            self.session.commit(*running);
        }
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting(..) => "waiting",
            State::Ready(..) => "ready",
            State::Refused(_) => "refused",
            State::Running(_) => "running",
            State::Ended => "ended",
        };
        f.debug_struct("ChatStream")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
