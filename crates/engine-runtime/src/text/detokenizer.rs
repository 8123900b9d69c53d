//! The text of an answer while its tokens come.

use std::{collections::BTreeMap, sync::Arc};

use engine_core::{Error, Result, TokenId};

use super::{
    decoding::{Stage, feed, finish, stages},
    tokenizer::Tokenizer,
};

/// Turns tokens into text one by one.
///
/// The texts joined equal [`TextPipeline::decode`](crate::TextPipeline::decode) of all tokens,
/// whatever the tokens are; none splits a character. A token costs the same however many came
/// before it. What is held back is a character that is not whole yet, and in vocabularies with byte
/// fallback a run of byte tokens, whose text is known only when it ends.
///
/// For the few decoders that language models don't use (CTC, word pieces, patterns) the text comes
/// at the end as a whole.
///
/// Special tokens have no text, except those that
/// [`TextPipeline::detokenizer_showing`](crate::TextPipeline::detokenizer_showing) was given: such a
/// token ends the text before it and is its own name.
#[derive(Debug)]
pub struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    mode: Mode,
    /// Special tokens that are text all the same.
    shown: BTreeMap<TokenId, String>,
    /// What went wrong at a token that ended the text before it; reported at the end.
    failed: Option<Error>,
}

#[derive(Debug)]
enum Mode {
    Stages(Vec<Stage>),
    Whole(Vec<TokenId>),
}

impl Detokenizer {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, shown: &[String]) -> Self {
        let shown = shown
            .iter()
            .filter_map(|text| Some((tokenizer.id(text)?, text.clone())))
            .filter(|(id, _)| tokenizer.piece(*id).is_none())
            .collect();

        let mode = match stages(tokenizer.decoder()) {
            Some(stages) => Mode::Stages(stages),
            None => Mode::Whole(Vec::new()),
        };
        Self {
            tokenizer,
            mode,
            shown,
            failed: None,
        }
    }

    /// Adds a token; returns the text that it completes, possibly none.
    pub fn push(&mut self, token: TokenId) -> String {
        if let Some(shown) = self.shown.get(&token) {
            let shown = shown.clone();
            // It ends what stands before it, which else could come out behind it.
            return match self.finish() {
                Ok(text) => text + &shown,
                Err(error) => {
                    self.failed = Some(error);
                    shown
                }
            };
        }
        let mut text = String::new();
        match &mut self.mode {
            Mode::Stages(stages) => {
                if let Some(piece) = self.tokenizer.piece(token) {
                    feed(stages, &piece, &mut text);
                }
            }
            Mode::Whole(tokens) => tokens.push(token),
        }
        text
    }

    /// Ends the answer; returns the text that was held back. A character cut short becomes U+FFFD.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](engine_core::Error::Tokenizer), only where the text comes as a whole.
    pub fn finish(&mut self) -> Result<String> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match &mut self.mode {
            Mode::Stages(stages) => {
                let mut text = String::new();
                finish(stages, &mut text);
                Ok(text)
            }
            Mode::Whole(tokens) => self.tokenizer.decode(&std::mem::take(tokens)),
        }
    }
}
