//! Grouped-query attention with rotary positions and a cache.

use mlx_rs::{
    Array,
    fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention},
    ops::concatenate,
};

use super::{
    exception::MlxResult,
    kv_cache::{KeysAndValues, KvCache},
    linear::Linear,
    mask::{Mask, Seen},
    norm::RmsNorm,
    rope::Rope,
    slices,
};

/// One sequence's part in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a, C> {
    /// Its rows in the batch, at least one.
    pub(super) rows: i32,
    /// Positions that its cache holds.
    pub(super) len: usize,
    /// Its cache of this layer.
    pub(super) cache: &'a C,
}

/// Multi-head attention in which several query heads share a key and value head.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    /// Norms over each head's query and key, in the families that have them.
    pub(super) query_norm: Option<RmsNorm>,
    pub(super) key_norm: Option<RmsNorm>,
    pub(super) rope: Rope,
    pub(super) heads: i32,
    pub(super) kv_heads: i32,
    pub(super) head_dim: i32,
    /// Factor of the scores: usually `1 / sqrt(head_dim)`.
    pub(super) scale: f32,
    /// How many positions a row sees, itself included; `None` for all.
    pub(super) window: Option<usize>,
}

impl Attention {
    /// `[rows, hidden_size]` to the same, and the parts' caches with their new positions.
    ///
    /// The linear layers see all rows at once, attention sees one sequence after another.
    pub(super) fn forward<C: KvCache>(
        &self,
        x: &Array,
        parts: &[Part<'_, C>],
    ) -> MlxResult<(Array, Vec<C>)> {
        let queries = self.query.forward(x)?;
        let keys = self.key.forward(x)?;
        let values = self.value.forward(x)?;
        let mut caches = Vec::with_capacity(parts.len());
        let mut attended = Vec::with_capacity(parts.len());
        let mut start = 0;
        for part in parts {
            let rows = start..start + part.rows;
            start = rows.end;
            let of_part = |all: &Array| {
                if parts.len() == 1 {
                    MlxResult::Ok(all.clone())
                } else {
                    slices::rows(all, rows.clone())
                }
            };
            let (out, cache) = self.attend(
                &of_part(&queries)?,
                &of_part(&keys)?,
                &of_part(&values)?,
                part,
            )?;
            attended.push(out);
            caches.push(cache);
        }
        let attended = match &attended[..] {
            [one] => one.clone(),
            all => concatenate(all, 0)?,
        };
        Ok((self.output.forward(&attended)?, caches))
    }

    /// One sequence: projections `[rows, heads * head_dim]` to `[rows, heads * head_dim]`.
    fn attend<C: KvCache>(
        &self,
        queries: &Array,
        keys: &Array,
        values: &Array,
        part: &Part<'_, C>,
    ) -> MlxResult<(Array, C)> {
        let split = |projected: &Array, heads: i32, norm: Option<&RmsNorm>| {
            let by_head = projected.reshape(&[1, part.rows, heads, self.head_dim])?;
            let by_head = match norm {
                Some(norm) => norm.forward(&by_head)?,
                None => by_head,
            };
            by_head.transpose_axes(&[0, 2, 1, 3])
        };
        let queries = split(queries, self.heads, self.query_norm.as_ref())?;
        let new = KeysAndValues {
            keys: self.rope.forward(
                &split(keys, self.kv_heads, self.key_norm.as_ref())?,
                part.len,
            )?,
            values: split(values, self.kv_heads, None)?,
        };
        let queries = self.rope.forward(&queries, part.len)?;
        let (cache, all) = part.cache.append(part.len, &new)?;
        let rows = part.rows as usize;
        let seen = Seen::new(rows, part.len + rows, self.window);
        let (keys, values) = match seen.first {
            0 => (all.keys, all.values),
            first => {
                let positions = first as i32..(part.len + rows) as i32;
                (
                    slices::positions(&all.keys, positions.clone())?,
                    slices::positions(&all.values, positions)?,
                )
            }
        };
        let masked = seen.mask()?;
        let mask = match &masked {
            Mask::None => None,
            Mask::Causal => Some(ScaledDotProductAttentionMask::Causal),
            Mask::Window(mask) => Some(ScaledDotProductAttentionMask::Array(mask)),
        };
        let attended = scaled_dot_product_attention(queries, keys, values, self.scale, mask, None)?;
        let attended = attended
            .transpose_axes(&[0, 2, 1, 3])?
            .reshape(&[part.rows, self.heads * self.head_dim])?;
        Ok((attended, cache))
    }
}
