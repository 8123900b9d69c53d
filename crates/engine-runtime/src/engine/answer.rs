//! The text of an answer: detokenized, and cut at a stop string.

use engine_core::Result;

use crate::{Detokenizer, StopMatch, StopMatcher};

/// Turns tokens into the text that may be shown.
#[derive(Debug)]
pub(super) struct Answer {
    detokenizer: Detokenizer,
    stops: StopMatcher,
}

/// Text that may be shown, and the index of the stop string that ends the answer, if one came up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) stop: Option<usize>,
}

impl Answer {
    pub(super) fn new(detokenizer: Detokenizer, stops: &[String]) -> Self {
        Self {
            detokenizer,
            stops: StopMatcher::new(stops),
        }
    }

    /// Adds a token.
    pub(super) fn push(&mut self, token: engine_core::TokenId) -> Piece {
        let text = self.detokenizer.push(token);
        self.stops.push(&text).into()
    }

    /// Ends the answer: what was held back comes out.
    pub(super) fn finish(&mut self) -> Result<Piece> {
        let text = self.detokenizer.finish()?;
        let mut piece = Piece::from(self.stops.push(&text));
        if piece.stop.is_none() {
            let rest = Piece::from(self.stops.finish());
            piece.text.push_str(&rest.text);
            piece.stop = rest.stop;
        }
        Ok(piece)
    }
}

impl From<Result<String, StopMatch>> for Piece {
    fn from(result: Result<String, StopMatch>) -> Self {
        match result {
            Ok(text) => Self { text, stop: None },
            Err(StopMatch { text, stop }) => Self {
                text,
                stop: Some(stop),
            },
        }
    }
}
