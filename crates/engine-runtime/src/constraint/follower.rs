//! A grammar, and how far an answer has come in it.

use std::sync::Arc;

use engine_core::{Error, Result, TokenId};
use llguidance::{
    TokenParser,
    api::StopReason,
    toktrie::{SimpleVob, TokTrie},
};

use super::{guarded, invalid};

/// Follows one answer.
pub(crate) struct Follower {
    parser: TokenParser,
    mask: SimpleVob,
    /// What may not begin the answer; taken by the first mask.
    barred: Option<Arc<[TokenId]>>,
}

impl Follower {
    pub(super) fn new(parser: TokenParser, barred: Option<Arc<[TokenId]>>) -> Result<Self> {
        let mut follower = Self {
            parser,
            mask: SimpleVob::new(),
            barred,
        };
        // A form without any text is known now, and not only when a prompt has been read.
        follower.find_mask()?;
        Ok(follower)
    }

    /// The tokens that may come next: one bit each, in words of 32, lowest first. An end-of-text token
    /// is among them if the answer is whole.
    pub(crate) fn mask(&self) -> &[u32] {
        self.mask.as_slice()
    }

    /// Takes a token of the answer; whether the answer is whole and nothing can follow.
    ///
    /// # Errors
    /// [`Error::InvalidConstraint`] if the grammar has become too complex to follow.
    pub(crate) fn take(&mut self, token: TokenId) -> Result<bool> {
        let parser = &mut self.parser;
        let ended = guarded(|| {
            parser
                .consume_token(token)
                .map_err(|error| error.to_string())?;
            parser.check_stop().map_err(|error| error.to_string())
        })
        .map_err(invalid)?;
        Ok(ended)
    }

    /// Finds out which tokens may come next.
    ///
    /// # Errors
    /// As [`Follower::take`]; also if no token of the vocabulary can go on.
    pub(crate) fn find_mask(&mut self) -> Result<()> {
        let parser = &mut self.parser;
        let mask = guarded(|| parser.compute_mask().map_err(|error| error.to_string()));
        self.mask = match mask {
            Ok(mask) => mask,
            Err(reason) => return Err(self.stuck(reason)),
        };
        if let Some(barred) = self.barred.take() {
            barred
                .iter()
                .for_each(|token| self.mask.disallow_token(*token));
        }
        if self.mask.is_zero() {
            return Err(self.stuck(String::new()));
        }
        Ok(())
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
        invalid(reason)
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let trie: &TokTrie = self.parser.token_env.tok_trie();
        f.debug_struct("Follower")
            .field("allowed", &self.mask.num_set())
            .field("vocabulary", &trie.vocab_size())
            .finish_non_exhaustive()
    }
}
