//! Receives one answer from the engine.

use futures_util::{Stream, StreamExt as _};
use mlxengine::{Completion, GenerationEvent, GenerationSummary, PartialCompletion};

use crate::{failure::Failure, interrupt::Interrupt};

/// An answer.
pub(crate) enum Answer {
    Whole(Completion),
    /// What came before Ctrl-C.
    Interrupted(PartialCompletion),
}

impl Answer {
    /// What the engine said at its end.
    pub(crate) fn summary(&self) -> Option<&GenerationSummary> {
        match self {
            Self::Whole(answer) => Some(&answer.summary),
            Self::Interrupted(_) => None,
        }
    }
}

/// Shows every event as it comes. Ctrl-C drops the stream, which cancels the generation.
pub(crate) async fn receive(
    mut events: impl Stream<Item = Result<GenerationEvent, impl Into<Failure>>> + Unpin,
    interrupt: &mut Interrupt,
    mut show: impl FnMut(&GenerationEvent) -> Result<(), Failure>,
) -> Result<Answer, Failure> {
    let mut answer = PartialCompletion::default();
    let mut whole = None;
    while let Some(Some(event)) = interrupt.or(events.next()).await {
        let event = event.map_err(Into::into)?;
        show(&event)?;
        whole = answer.add(event).or(whole);
    }
    Ok(whole.map_or(Answer::Interrupted(answer), Answer::Whole))
}
