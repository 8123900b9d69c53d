//! The `tokenizers` library, with its errors, and its panics on odd files, turned into ours.

use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
};

use engine_core::{Error, Result, TokenId};
use tokenizers::AddedToken;

use crate::panic_message::panic_message;

/// A tokenizer as `tokenizer.json` describes it.
pub(super) struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Reads the content of `tokenizer.json`.
    ///
    /// Truncation and padding that the file may ask for belong to training and are switched off.
    pub(super) fn from_json(json: &str) -> Result<Self> {
        let mut inner = guarded(|| {
            tokenizers::Tokenizer::from_str(json)
                .map_err(|error| failed(format!("tokenizer.json can't be read: {error}")))
        })?;
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { inner })
    }

    pub(super) fn encode(&self, text: &str, add_special: bool) -> Result<Vec<TokenId>> {
        guarded(|| {
            self.inner
                .encode_fast(text, add_special)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| failed(error.to_string()))
        })
    }

    pub(super) fn decode(&self, tokens: &[TokenId]) -> Result<String> {
        if !tokens.iter().any(|token| self.piece(*token).is_some()) {
            // Some decoders panic on an empty list.
            return Ok(String::new());
        }
        guarded(|| {
            self.inner
                .decode(tokens, true)
                .map_err(|error| failed(error.to_string()))
        })
    }

    /// What a token hands to the decoder: `None` for special tokens, and for ids that the
    /// vocabulary does not have.
    pub(super) fn piece(&self, token: TokenId) -> Option<String> {
        self.inner
            .id_to_token(token)
            .filter(|piece| !self.inner.get_added_vocabulary().is_special_token(piece))
    }

    /// The entry of a token in the vocabulary, special ones included.
    pub(super) fn name(&self, token: TokenId) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// One more than the highest id.
    pub(super) fn len(&self) -> usize {
        let vocabulary = self.inner.get_vocab(true);
        vocabulary
            .into_values()
            .max()
            .map_or(0, |id| id as usize + 1)
    }

    pub(super) fn contains(&self, token: TokenId) -> bool {
        self.inner.id_to_token(token).is_some()
    }

    pub(super) fn id(&self, token: &str) -> Option<TokenId> {
        self.inner.token_to_id(token)
    }

    pub(super) fn added_tokens(&self) -> HashMap<TokenId, AddedToken> {
        self.inner.get_added_tokens_decoder().into_iter().collect()
    }

    pub(super) fn decoder(&self) -> Option<&tokenizers::DecoderWrapper> {
        self.inner.get_decoder()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").finish_non_exhaustive()
    }
}

fn failed(reason: String) -> Error {
    Error::Tokenizer { reason }
}

/// The library indexes and unwraps in places that a strange file can reach.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        Err(failed(format!(
            "the tokenizer library panicked: {}",
            panic_message(payload.as_ref())
        )))
    })
}
