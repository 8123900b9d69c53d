//! Tokens as vectors, and with tied embeddings vectors as logits.

use mlx_rs::Array;

use super::{exception::MlxResult, linear::Matrix};

/// A row of numbers for each token of the vocabulary.
#[derive(Debug)]
pub(super) struct Embedding {
    /// `[vocab_size, hidden_size]`.
    pub(super) matrix: Matrix,
}

impl Embedding {
    /// The rows of `tokens` `[count]`: `[count, hidden_size]`.
    ///
    /// MLX reads whatever lies at a token's place: the tokens must be in the vocabulary.
    pub(super) fn forward(&self, tokens: &Array) -> MlxResult<Array> {
        self.matrix.take_rows(tokens)
    }

    /// The logits of `x` `[rows, hidden_size]`: `[rows, vocab_size]`.
    pub(super) fn as_linear(&self, x: &Array) -> MlxResult<Array> {
        self.matrix.multiply(x)
    }
}
