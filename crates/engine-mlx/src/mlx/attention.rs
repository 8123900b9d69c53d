//! Grouped-query attention with rotary positions and a cache.

use mlx_rs::{
    Array,
    fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention},
    ops::{concatenate, select, softmax_axis},
};

use super::{
    exception::MlxResult,
    kv_cache::KvCache,
    kv_numbers::{KeysAndValues, KvForm},
    linear::Linear,
    mask::{Mask, Seen},
    norm::RmsNorm,
    projections::Projections,
    rope::{Rope, Start},
    slices,
};

/// A part of a batch with a cache of its own: a sequence, or several that go in step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a, C> {
    /// Sequences, at least one.
    pub(super) sequences: i32,
    /// Rows of each, at least one.
    pub(super) rows: i32,
    /// Positions that the cache holds.
    pub(super) len: usize,
    /// What of them does not count, for sequences of different lengths.
    pub(super) padding: Option<&'a PaddingArrays>,
    /// Its cache of this layer.
    pub(super) cache: &'a C,
}

/// How sequences of different lengths lie in one cache: at its end, behind padding.
#[derive(Clone, Debug)]
pub(super) struct PaddingArrays {
    /// The position of each sequence's next token, `[sequences]`, i32.
    pub(super) starts: Array,
    /// `[sequences, 1, 1, positions]`, true for what is not padding; `None` if nothing is.
    pub(super) seen: Option<Array>,
}

/// Multi-head attention in which several query heads share a key and value head.
#[derive(Debug)]
pub(super) struct Attention {
    /// Queries, keys and values.
    pub(super) projections: Projections,
    pub(super) output: Linear,
    /// Norms over each head's query and key, in the families that have them.
    pub(super) head_norms: Option<HeadNorms>,
    pub(super) rope: Rope,
    pub(super) heads: i32,
    pub(super) kv_heads: i32,
    pub(super) head_dim: i32,
    /// Factor of the scores: usually `1 / sqrt(head_dim)`.
    pub(super) scale: f32,
    /// How many positions a row sees, itself included; `None` for all.
    pub(super) window: Option<usize>,
    /// How its cache stores keys and values.
    pub(super) kv_form: KvForm,
    /// Whether one row multiplies with stored numbers as they are, where they are packed.
    pub(super) multiplies_packed: bool,
}

/// Norms over the numbers of a head.
#[derive(Debug)]
pub(super) struct HeadNorms {
    pub(super) query: RmsNorm,
    pub(super) key: RmsNorm,
}

impl Attention {
    /// `[rows, hidden_size]` to the same, and the parts' caches with their new positions.
    ///
    /// The linear layers see all rows at once, attention sees one part after another.
    pub(super) fn forward<C: KvCache>(
        &self,
        x: &Array,
        parts: &[Part<'_, C>],
    ) -> MlxResult<(Array, Vec<C>)> {
        let projected = self.projections.forward(x)?;
        let mut attended = Vec::with_capacity(parts.len());
        let mut caches = Vec::with_capacity(parts.len());
        let mut start = 0;
        for part in parts {
            let rows = start..start + part.sequences * part.rows;
            start = rows.end;
            let (out, cache) = match parts.len() {
                1 => self.attend(&projected, part)?,
                _ => self.attend(&slices::rows(&projected, rows)?, part)?,
            };
            attended.push(out);
            caches.push(cache);
        }
        let attended = match &attended[..] {
            [one] => one.clone(),
            all => concatenate(all, 0)?,
        };
        Ok((self.output.forward(&attended)?, caches))
    }

    /// One part: projections `[rows, (heads + 2 * kv_heads) * head_dim]` to
    /// `[rows, heads * head_dim]`.
    fn attend<C: KvCache>(&self, projected: &Array, part: &Part<'_, C>) -> MlxResult<(Array, C)> {
        let (queries, new) = self.rotated(projected, part)?;
        let rows = part.rows as usize;
        let seen = Seen::new(rows, part.len + rows, self.window);
        let (cache, held) = part.cache.append(part.len, seen.first, &new)?;
        let masked = match part.padding.and_then(|padding| padding.seen.as_ref()) {
            Some(seen) => Mask::Positions(seen.clone()),
            None => seen.mask()?,
        };
        let packed = self.attend_packed(&queries, &held, &masked)?;
        let attended = if let Some(attended) = packed {
            attended
        } else {
            self.attend_plain(&queries, &held, &masked)?
        };
        let attended = attended
            .transpose_axes(&[0, 2, 1, 3])?
            .reshape(&[part.sequences * part.rows, self.heads * self.head_dim])?;
        Ok((attended, cache))
    }

    /// What queries `[sequences, heads, rows, head_dim]` make of keys and values.
    fn attend_plain(&self, queries: &Array, held: &KeysAndValues, mask: &Mask) -> MlxResult<Array> {
        let keys = self.kv_form.load(&held.keys)?;
        let values = self.kv_form.load(&held.values)?;
        let mask = match mask {
            Mask::None => None,
            Mask::Causal => Some(ScaledDotProductAttentionMask::Causal),
            Mask::Positions(mask) => Some(ScaledDotProductAttentionMask::Array(mask)),
        };
        scaled_dot_product_attention(queries, keys, values, self.scale, mask, None)
    }

    /// What single rows `[sequences, heads, 1, head_dim]` make of packed keys and values, without
    /// unpacking them for more than a product; `None` where that is not the way.
    fn attend_packed(
        &self,
        queries: &Array,
        held: &KeysAndValues,
        mask: &Mask,
    ) -> MlxResult<Option<Array>> {
        if !self.multiplies_packed || queries.dim(2) != 1 {
            return Ok(None);
        }
        let sequences = queries.dim(0);
        // The heads that share keys and values become rows of one product.
        let shared = [sequences, self.kv_heads, -1, self.head_dim];
        let queries = queries
            .multiply(Array::from_f32(self.scale).as_dtype(queries.dtype())?)?
            .reshape(&shared)?;
        let Some(scores) = self.kv_form.multiply(&queries, &held.keys, true)? else {
            return Ok(None);
        };
        let scores = match mask {
            Mask::Positions(seen) => {
                let hidden = Array::from_f32(f32::NEG_INFINITY).as_dtype(scores.dtype())?;
                select(seen, &scores, hidden)?
            }
            Mask::None | Mask::Causal => scores,
        };
        let shares = softmax_axis(&scores, -1, true)?;
        self.kv_form
            .multiply(&shares, &held.values, false)?
            .map(|attended| attended.reshape(&[sequences, self.heads, 1, self.head_dim]))
            .transpose()
    }

    /// Queries, and keys with values, `[sequences, heads, rows, head_dim]`, turned by their
    /// positions.
    fn rotated<C: KvCache>(
        &self,
        projected: &Array,
        part: &Part<'_, C>,
    ) -> MlxResult<(Array, KeysAndValues)> {
        let start = match part.padding {
            Some(padding) => Start::Each(&padding.starts),
            None => Start::All(part.len),
        };
        let (turned, all) = (self.heads + self.kv_heads, self.heads + 2 * self.kv_heads);
        let by_head = projected
            .reshape(&[part.sequences, part.rows, all, self.head_dim])?
            .transpose_axes(&[0, 2, 1, 3])?;
        let values = slices::heads(&by_head, turned..all)?;
        let (queries, keys) = match &self.head_norms {
            None => {
                let both = slices::heads(&by_head, 0..turned)?;
                let both = self.rope.forward(&both, start)?;
                (
                    slices::heads(&both, 0..self.heads)?,
                    slices::heads(&both, self.heads..turned)?,
                )
            }
            Some(norms) => {
                let queries = norms
                    .query
                    .forward(&slices::heads(&by_head, 0..self.heads)?)?;
                let keys = norms
                    .key
                    .forward(&slices::heads(&by_head, self.heads..turned)?)?;
                (
                    self.rope.forward(&queries, start)?,
                    self.rope.forward(&keys, start)?,
                )
            }
        };
        let new = KeysAndValues {
            keys: self.kv_form.store(&keys)?,
            values: self.kv_form.store(&values)?,
        };
        Ok((queries, new))
    }
}
