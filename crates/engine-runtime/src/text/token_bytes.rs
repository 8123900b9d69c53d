//! The bytes of each token, as they stand in the middle of a text.

use engine_core::TokenId;

use super::{
    decoding::{Stage, byte_of, byte_piece, stages, strip},
    tokenizer::Tokenizer,
};

/// The bytes of all tokens of a vocabulary. Ids without a token have none.
#[derive(Debug)]
pub(crate) struct TokenBytes {
    bytes: Vec<u8>,
    /// Where each token's bytes end.
    ends: Vec<usize>,
    special: Vec<bool>,
    drops_first_space: bool,
}

impl TokenBytes {
    /// Reads a vocabulary; `None` if its decoder makes a text of tokens as a whole only.
    pub(super) fn new(tokenizer: &Tokenizer) -> Option<Self> {
        let stages = stages(tokenizer.decoder())?;
        let len = tokenizer.len();
        let mut tokens = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(len),
            special: Vec::with_capacity(len),
            drops_first_space: stages.iter().any(|stage| match stage {
                Stage::Metaspace { drop, .. } => *drop,
                Stage::StripFront { .. } | Stage::Spaces { .. } => true,
                _ => false,
            }),
        };
        for token in 0..len as TokenId {
            let piece = tokenizer.piece(token);
            if let Some(piece) = &piece {
                push_bytes(&stages, piece, &mut tokens.bytes);
            } else if let Some(name) = tokenizer.name(token) {
                tokens.bytes.extend_from_slice(name.as_bytes());
            }
            tokens.special.push(piece.is_none());
            tokens.ends.push(tokens.bytes.len());
        }
        Some(tokens)
    }

    /// The number of ids, from 0 to the highest.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A token's bytes; of a special one its name.
    pub(crate) fn of(&self, token: TokenId) -> &[u8] {
        let token = token as usize;
        let start = token
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let end = self.ends.get(token).copied().unwrap_or_default();
        self.bytes
            .get(start.copied().unwrap_or_default()..end)
            .unwrap_or_default()
    }

    /// Whether a token stands for no text.
    pub(crate) fn is_special(&self, token: TokenId) -> bool {
        self.special.get(token as usize).copied().unwrap_or(true)
    }

    /// Whether a space that begins the text is dropped.
    pub(crate) fn drops_first_space(&self) -> bool {
        self.drops_first_space
    }

    /// Tokens with this text in their own, in ascending order; special ones aside.
    pub(super) fn containing<'a>(&'a self, text: &'a str) -> impl Iterator<Item = TokenId> + 'a {
        let text = text.as_bytes();
        (0..self.len() as TokenId).filter(move |token| {
            let bytes = self.of(*token);
            !self.is_special(*token)
                && bytes.len() >= text.len()
                && bytes.windows(text.len()).any(|window| window == text)
        })
    }
}

/// Adds what a piece that is not the first becomes.
fn push_bytes(stages: &[Stage], piece: &str, bytes: &mut Vec<u8>) {
    let mut text = piece.to_owned();
    for stage in stages {
        match stage {
            Stage::ByteLevel(_) => {
                let decoded: Option<Vec<u8>> = text.chars().map(byte_of).collect();
                // What follows on a byte-level stage sees one piece, and changes its front alone.
                bytes.extend(decoded.unwrap_or_else(|| text.into_bytes()));
                return;
            }
            Stage::ByteFallback(_) => {
                if let Some(byte) = byte_piece(&text) {
                    bytes.push(byte);
                    return;
                }
            }
            Stage::Replace { from, to } => text = text.replace(from.as_str(), to),
            Stage::Metaspace { mark, .. } => text = text.replace(*mark, " "),
            Stage::Strip { mark, start, stop } => {
                text = String::from(strip(&text, *mark, *start, *stop));
            }
            Stage::StripFront { .. } => {}
            Stage::Spaces { .. } => text.insert(0, ' '),
        }
    }
    bytes.extend_from_slice(text.as_bytes());
}
