//! A grammar, and how far an answer has come in it.

use std::sync::Arc;

use engine_core::{Error, Field, Result, TokenId};
use llguidance::{TokenParser, api::StopReason, toktrie::SimpleVob};

use super::{guarded, invalid};

/// Follows one answer.
pub(crate) struct Follower {
    parser: TokenParser,
    /// The field of the request that asks for the grammar.
    field: Field,
    /// For the next token; `None` until it is found.
    mask: Option<Result<SimpleVob>>,
    /// What may not begin the answer; taken by the first mask.
    barred: Option<Arc<[TokenId]>>,
}

impl Follower {
    pub(super) fn new(
        parser: TokenParser,
        field: Field,
        barred: Option<Arc<[TokenId]>>,
    ) -> Result<Self> {
        let mut follower = Self {
            parser,
            field,
            mask: None,
            barred,
        };
        // A form without any text is known now, and not only when a prompt has been read.
        follower.mask()?;
        Ok(follower)
    }

    /// The tokens that may come next: one bit each, in words of 32, lowest first. An end-of-text token
    /// is among them if the answer is whole.
    ///
    /// # Errors
    /// As [`Follower::take`]; also if no token of the vocabulary can go on.
    pub(crate) fn mask(&mut self) -> Result<&[u32]> {
        self.find_mask();
        // An error ends the answer, so that it is not asked for twice.
        if let Some(Err(error)) = self.mask.take_if(|mask| mask.is_err()) {
            return Err(error);
        }
        let mask = self.mask.iter().flatten().next();
        Ok(mask.map_or(&[], SimpleVob::as_slice))
    }

    /// Takes a token of the answer; whether the answer is whole and nothing can follow.
    ///
    /// # Errors
    /// [`Error::InvalidConstraint`] if the grammar has become too complex to follow.
    pub(crate) fn take(&mut self, token: TokenId) -> Result<bool> {
        self.mask = None;
        let parser = &mut self.parser;
        let ended = guarded(|| {
            parser
                .consume_token(token)
                .map_err(|error| error.to_string())?;
            parser.check_stop().map_err(|error| error.to_string())
        })
        .map_err(|reason| invalid(self.field, reason))?;
        Ok(ended)
    }

    /// Finds out which tokens may come next, unless it is known.
    pub(crate) fn find_mask(&mut self) {
        if self.mask.is_none() {
            self.mask = Some(self.next_mask());
        }
    }

    fn next_mask(&mut self) -> Result<SimpleVob> {
        let parser = &mut self.parser;
        let mask = guarded(|| parser.compute_mask().map_err(|error| error.to_string()));
        let mut mask = mask.map_err(|reason| self.stuck(reason))?;
        if let Some(barred) = self.barred.take() {
            barred.iter().for_each(|token| mask.disallow_token(*token));
        }
        if mask.is_zero() {
            return Err(self.stuck(String::new()));
        }
        Ok(mask)
    }

    fn stuck(&self, reason: String) -> Error {
        let reason = match self.parser.stop_reason() {
            StopReason::LexerTooComplex | StopReason::ParserTooComplex => {
                format!("it is too complex: {reason}")
            }
            StopReason::NoExtensionBias => "no token of this vocabulary can go on".to_owned(),
            _ if reason.is_empty() => "no token of this vocabulary can go on".to_owned(),
            _ => reason,
        };
        invalid(self.field, reason)
    }
}
