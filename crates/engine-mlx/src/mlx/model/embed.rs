//! Texts as vectors.

use engine_core::{Pooling, Result, TokenId};
use mlx_rs::{Array, transforms::eval};

use super::{
    super::{
        batch::check_text,
        decoder::{Caches, Run as DecoderRun},
        exception::{Doing, MlxResult},
        kv_cache::{KvCache as _, StepCache, capacity_for},
        room::{ensure_room, ensure_within_limit},
        slices,
    },
    MlxModel, token_array,
};

/// Tokens that go through the layers together.
const PIECE: usize = 512;
const EMBEDDING_IN_WORDS: &str = "embed a text";

/// A text on its way through the layers.
struct Text<'t> {
    tokens: &'t [TokenId],
    done: usize,
    caches: Caches<StepCache>,
    vector: Option<Array>,
}

impl MlxModel {
    /// See [`Model::embed`](engine_core::Model::embed).
    pub(super) fn embed_texts(
        &self,
        texts: &[&[TokenId]],
        pooling: Pooling,
    ) -> Result<Vec<Vec<f32>>> {
        let windows = self.decoder.windows();
        let mut under_way = Vec::with_capacity(texts.len());
        for tokens in texts {
            check_text(tokens, &self.sizes)?;
            under_way.push(Text {
                tokens,
                done: 0,
                caches: windows.iter().copied().map(StepCache::empty).collect(),
                vector: None,
            });
        }
        self.ensure_room_for_texts(texts)?;
        while self.embed_step(&mut under_way, pooling)? {}
        under_way
            .into_iter()
            .map(|text| {
                let vector = text.vector.as_ref().map(Array::try_as_slice::<f32>);
                match vector.transpose().doing(EMBEDDING_IN_WORDS)? {
                    Some(numbers) => Ok(numbers.to_vec()),
                    None => Ok(Vec::new()),
                }
            })
            .collect()
    }

    fn ensure_room_for_texts(&self, texts: &[&[TokenId]]) -> Result<()> {
        let sizes = &self.sizes;
        let positions: usize = texts.iter().map(|text| capacity_for(text.len())).sum();
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let caches = (positions * sizes.layers) as u64 * sizes.position_bytes();
        if !self.device.is_cpu() {
            return ensure_within_limit("the texts to embed", caches);
        }
        let row = sizes.heads * longest
            + 2 * sizes.intermediate
            + 2 * sizes.hidden
            + 3 * sizes.heads * sizes.head_dim;
        ensure_room("the texts to embed", caches + 12 * (PIECE * row) as u64)
    }

    /// Takes at most [`PIECE`] tokens further through the layers; `false` if none is left.
    fn embed_step(&self, texts: &mut [Text<'_>], pooling: Pooling) -> Result<bool> {
        let mut tokens: Vec<TokenId> = Vec::new();
        let mut counts = Vec::with_capacity(texts.len());
        let mut runs = Vec::new();
        for text in texts.iter() {
            let left = text.tokens.get(text.done..).unwrap_or_default();
            let count = left.len().min(PIECE - tokens.len());
            tokens.extend(&left[..count]);
            counts.push(count);
            if count > 0 {
                runs.push(DecoderRun {
                    sequences: 1,
                    rows: count,
                    len: text.done,
                    padding: None,
                    caches: &text.caches[..],
                });
            }
        }
        if tokens.is_empty() {
            return Ok(false);
        }
        let step = || {
            let (hidden, caches) = self.decoder.hidden(&token_array(&tokens), &runs)?;
            MlxResult::Ok((self.decoder.states(&hidden)?.as_type::<f32>()?, caches))
        };
        let (states, caches) = step().doing(EMBEDDING_IN_WORDS)?;
        let mut caches = caches.into_iter();
        let mut first = 0;
        for (text, count) in texts.iter_mut().zip(counts).filter(|(_, count)| *count > 0) {
            text.caches = caches.next().unwrap_or_default();
            text.take(&states, first, count, pooling)
                .doing(EMBEDDING_IN_WORDS)?;
            first += count as i32;
        }
        Ok(true)
    }
}

impl Text<'_> {
    /// Pools `count` rows of hidden states, the first of which is `first`.
    fn take(
        &mut self,
        states: &Array,
        first: i32,
        count: usize,
        pooling: Pooling,
    ) -> MlxResult<()> {
        let end = first + count as i32;
        let rows = match pooling {
            Pooling::First => (self.done == 0).then_some(first..first + 1),
            Pooling::Last => (self.done + count == self.tokens.len()).then_some(end - 1..end),
            _ => Some(first..end),
        };
        self.done += count;
        if let Some(rows) = rows {
            let share = match pooling {
                Pooling::First | Pooling::Last => 1.0,
                _ => (self.tokens.len() as f32).recip(),
            };
            let sum = slices::rows(states, rows)?
                .sum_axis(0, false)?
                .multiply(Array::from_f32(share))?;
            self.vector = Some(match &self.vector {
                Some(before) => before.add(&sum)?,
                None => sum,
            });
        }
        let caches = self.caches.iter().flat_map(StepCache::arrays);
        eval(caches.chain(&self.vector))
    }
}
