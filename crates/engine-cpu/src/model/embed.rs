//! Texts as vectors.

use engine_core::{Pooling, Result, TokenId};

use super::{CpuModel, MOST_ROWS};
use crate::{
    batch::check_text,
    decoder::{Machine, Part, Rows},
    sequences::Sequence,
};

/// A text on its way through the layers.
struct Text<'t> {
    tokens: &'t [TokenId],
    sequence: Sequence,
    vector: Vec<f32>,
}

impl CpuModel {
    /// See [`Model::embed`](engine_core::Model::embed).
    pub(super) fn embed_texts(
        &mut self,
        texts: &[&[TokenId]],
        pooling: Pooling,
    ) -> Result<Vec<Vec<f32>>> {
        let columns = self.decoder.hidden_size();
        let mut under_way = Vec::with_capacity(texts.len());
        for tokens in texts {
            check_text(tokens, self.info.vocab_size, self.info.context_length)?;
            under_way.push(Text {
                tokens,
                sequence: self.sequences.detached(),
                vector: vec![0.0; columns],
            });
        }
        while self.embed_step(&mut under_way, pooling)? {}
        Ok(under_way.into_iter().map(|text| text.vector).collect())
    }

    /// Takes at most [`MOST_ROWS`] tokens further through the layers; `false` if none is left.
    fn embed_step(&mut self, texts: &mut [Text<'_>], pooling: Pooling) -> Result<bool> {
        let mut tokens: Vec<TokenId> = Vec::new();
        let mut rows = Vec::with_capacity(texts.len());
        let mut parts = Vec::new();
        for text in texts.iter_mut() {
            let position = text.sequence.len;
            let left = text.tokens.get(position..).unwrap_or_default();
            let count = left.len().min(MOST_ROWS - tokens.len());
            let of_text = Rows {
                first: tokens.len(),
                count,
                position,
            };
            tokens.extend(&left[..count]);
            rows.push(of_text);
            if count > 0 {
                text.sequence.reserve(count, self.sequences.shape())?;
                parts.push(Part {
                    sequence: &mut text.sequence,
                    rows: of_text,
                });
            }
        }
        if tokens.is_empty() {
            return Ok(false);
        }
        let mut machine = Machine {
            kernels: self.kernels,
            pool: &mut self.pool,
            workspace: &mut self.workspace,
        };
        self.decoder.step(&mut machine, &tokens, &mut parts);
        let mut state = vec![0.0; self.decoder.hidden_size()];
        for (text, rows) in texts.iter_mut().zip(rows) {
            let all = text.tokens.len();
            for index in 0..rows.count {
                let position = rows.position + index;
                let wanted = match pooling {
                    Pooling::First => position == 0,
                    Pooling::Last => position + 1 == all,
                    _ => true,
                };
                if wanted {
                    let row = rows.first + index;
                    self.decoder.state(&machine, row, &mut state);
                    let share = match pooling {
                        Pooling::First | Pooling::Last => 1.0,
                        _ => (all as f32).recip(),
                    };
                    for (sum, x) in text.vector.iter_mut().zip(&state) {
                        *sum += share * x;
                    }
                }
            }
            text.sequence.len += rows.count;
            text.sequence.release_unused();
        }
        Ok(true)
    }
}
