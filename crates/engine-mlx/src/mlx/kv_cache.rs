//! Keys and values of one layer, of one sequence or of several that go in step.
//!
//! A cache is a value: appending gives a new one, and the old one stays what it was. MLX's arrays
//! are shared and immutable, so that a copy costs nothing, and an array that nobody else holds is
//! written in place. Hence a fork is a clone, a step that fails changes nothing, and a step that
//! succeeds copies nothing, provided that the old value is dropped before the new one is evaluated.

use mlx_rs::{Array, Dtype, ops::concatenate, ops::zeros_dtype};

use super::{exception::MlxResult, slices};

/// Keys and values `[sequences, kv_heads, positions, head_dim]` of all positions so far.
#[derive(Clone, Debug)]
pub(super) struct KeysAndValues {
    pub(super) keys: Array,
    pub(super) values: Array,
}

/// What a layer needs of its cache.
pub(super) trait KvCache: Clone + Default {
    /// The cache with `new` behind its first `len` positions, and all positions up to the end of
    /// `new`.
    fn append(&self, len: usize, new: &KeysAndValues) -> MlxResult<(Self, KeysAndValues)>;

    /// The arrays that hold it, to be evaluated.
    fn arrays(&self) -> Option<[&Array; 2]>;
}

/// Positions by which a buffer grows.
pub(super) const STEP: usize = 256;

/// A cache in buffers with room for more positions than there are.
///
/// Growing by a fixed step keeps the shapes, and so the pieces of memory, few; the copy that each
/// growth takes comes once in 256 tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct StepCache(Option<KeysAndValues>);

impl StepCache {
    /// A cache in buffers that are there already.
    pub(super) fn of(buffers: KeysAndValues) -> Self {
        Self(Some(buffers))
    }

    /// Views of the first `len` positions; `None` if there are none.
    pub(super) fn view(&self, len: usize) -> MlxResult<Option<KeysAndValues>> {
        let filled = |buffer: &Array| slices::positions(buffer, 0..len as i32);
        self.0
            .as_ref()
            .filter(|_| len > 0)
            .map(|buffers| {
                Ok(KeysAndValues {
                    keys: filled(&buffers.keys)?,
                    values: filled(&buffers.values)?,
                })
            })
            .transpose()
    }

    /// Positions that fit without growing.
    pub(super) fn capacity(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |buffers| buffers.keys.dim(2) as usize)
    }

    /// Bytes of the buffers.
    pub(super) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |buffers| {
            (buffers.keys.nbytes() + buffers.values.nbytes()) as u64
        })
    }
}

/// Positions of a buffer that holds `len`.
pub(super) fn capacity_for(len: usize) -> usize {
    len.next_multiple_of(STEP)
}

impl KvCache for StepCache {
    fn append(&self, len: usize, new: &KeysAndValues) -> MlxResult<(Self, KeysAndValues)> {
        let end = len + new.keys.dim(2) as usize;
        let append = |buffer: Option<&Array>, new: &Array| {
            let buffer = match buffer {
                Some(buffer) if buffer.dim(2) as usize >= end => buffer.clone(),
                buffer => grown(buffer, len, end, new)?,
            };
            let buffer = slices::with_positions(&buffer, len as i32, new)?;
            let filled = if buffer.dim(2) as usize == end {
                buffer.clone()
            } else {
                slices::positions(&buffer, 0..end as i32)?
            };
            MlxResult::Ok((buffer, filled))
        };
        let (keys, all_keys) = append(self.0.as_ref().map(|old| &old.keys), &new.keys)?;
        let (values, all_values) = append(self.0.as_ref().map(|old| &old.values), &new.values)?;
        Ok((
            Self(Some(KeysAndValues { keys, values })),
            KeysAndValues {
                keys: all_keys,
                values: all_values,
            },
        ))
    }

    fn arrays(&self) -> Option<[&Array; 2]> {
        self.0
            .as_ref()
            .map(|buffers| [&buffers.keys, &buffers.values])
    }
}

/// The first `len` positions of `buffer`, with room for `end` in all; of the shape and type of
/// `like` otherwise.
fn grown(buffer: Option<&Array>, len: usize, end: usize, like: &Array) -> MlxResult<Array> {
    let kept = match buffer {
        Some(buffer) if len > 0 => Some(slices::positions(buffer, 0..len as i32)?),
        _ => None,
    };
    let room = capacity_for(end) - kept.as_ref().map_or(0, |_| len);
    let room = zeros(like, room as i32)?;
    match kept {
        Some(kept) => concatenate(&[kept, room], 2),
        None => Ok(room),
    }
}

fn zeros(like: &Array, positions: i32) -> MlxResult<Array> {
    let dtype: Dtype = like.dtype();
    zeros_dtype(&[like.dim(0), like.dim(1), positions, like.dim(3)], dtype)
}

#[cfg(test)]
mod tests;
