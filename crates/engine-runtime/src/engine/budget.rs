//! The limit on a model's thinking.

use std::{borrow::Cow, collections::VecDeque};

use engine_core::{Error, Field, ReasoningOptions, Result, TokenId};

use super::answer::Answer;
use crate::{OutputGrammar, TextPipeline};

/// Lets a model think for so many tokens, and then writes what ends the thought.
///
/// The tokens are chosen here instead of by the sampler, so that only the host can do it. They are
/// part of the answer like any others.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    /// What ends a thought; taken when it is written.
    ending: VecDeque<TokenId>,
    writes: bool,
}

impl Budget {
    /// The request's limit, if it has one.
    ///
    /// # Errors
    /// [`Error::UnsupportedByModel`] if the model does not mark off thoughts.
    pub(super) fn new(
        reasoning: ReasoningOptions,
        grammar: &OutputGrammar,
        text: &TextPipeline,
    ) -> Result<Option<Self>> {
        let Some(most) = reasoning.max_tokens else {
            return Ok(None);
        };
        let ending = grammar.end_of_thinking().ok_or(Error::UnsupportedByModel {
            field: Field::ReasoningTokens,
            reason: Cow::Borrowed("it does not mark off what it thinks"),
        })?;
        Ok(Some(Self {
            most: most as usize,
            ending: text.encode(&ending, false)?.into(),
            writes: false,
        }))
    }

    /// The token to be written next, if it is not for the model to choose.
    pub(super) fn next(&mut self, answer: &Answer) -> Option<TokenId> {
        if answer.is_reasoning() && answer.reasoning_tokens() >= self.most {
            self.writes = true;
        }
        self.writes.then(|| self.ending.pop_front()).flatten()
    }
}
