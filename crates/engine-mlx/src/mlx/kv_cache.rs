//! Keys and values of one layer, of one sequence or of several that go in step.
//!
//! A cache is a value: appending gives a new one, and the old one stays what it was. MLX's arrays
//! are shared and immutable, so that a copy costs nothing, and an array that nobody else holds is
//! written in place. Hence a fork is a clone, a step that fails changes nothing, and a step that
//! succeeds copies nothing, provided that the old value is dropped before the new one is evaluated.

use mlx_rs::{Array, ops::concatenate, ops::zeros_dtype};

use super::{exception::MlxResult, kv_numbers::KeysAndValues, slices};

/// What a layer needs of its cache.
pub(super) trait KvCache: Clone {
    /// The cache with `new` behind its first `len` positions, and what it holds from position
    /// `first` up to the end of `new`. `first` is one that the new positions see.
    fn append(
        &self,
        len: usize,
        first: usize,
        new: &KeysAndValues,
    ) -> MlxResult<(Self, KeysAndValues)>;

    /// The arrays that hold it, to be evaluated.
    fn arrays(&self) -> Vec<&Array>;
}

/// Positions by which a buffer grows.
pub(super) const STEP: usize = 256;

/// Positions before a window that are kept all the same, so that a sequence can be cut by a few
/// tokens.
const SPARE: usize = 64;

/// A cache in buffers with room for more positions than there are.
///
/// Growing by a fixed step keeps the shapes, and so the pieces of memory, few; the copy that each
/// growth takes comes once in 256 tokens. With a window, what no later token sees is left behind
/// by such a copy, so that the buffers hold the window, what a run appends at once, and at most
/// three steps more.
#[derive(Clone, Debug)]
pub(super) struct StepCache {
    /// Positions that a token sees, itself included; all if `None`.
    window: Option<usize>,
    /// The position with which the buffers begin.
    start: usize,
    buffers: Option<KeysAndValues>,
}

impl StepCache {
    /// A cache without positions.
    pub(super) fn empty(window: Option<usize>) -> Self {
        Self {
            window,
            start: 0,
            buffers: None,
        }
    }

    /// A cache of all positions in buffers that are there already.
    pub(super) fn of(buffers: KeysAndValues) -> Self {
        Self {
            window: None,
            start: 0,
            buffers: Some(buffers),
        }
    }

    /// A cache of `len` positions, of which `kept` are the last.
    pub(super) fn with(window: Option<usize>, len: usize, kept: &KeysAndValues) -> MlxResult<Self> {
        let first = len - kept.positions();
        let buffers = kept.map(|kept| {
            let room = zeros(kept, capacity_for(len) - first)?;
            slices::with_positions(&room, 0, kept)
        })?;
        Ok(Self {
            window,
            start: first,
            buffers: Some(buffers),
        })
    }

    /// The first `len` positions, or those of them that are there: in smaller buffers, if those that
    /// are there are much too large.
    pub(super) fn cut(&self, len: usize) -> MlxResult<Self> {
        let wanted = capacity_for(len).saturating_sub(self.start);
        if 2 * wanted > self.end() - self.start {
            return Ok(self.clone());
        }
        match self.positions(self.start, len)? {
            Some(kept) => {
                let cut = Self::with(self.window, len, &kept)?;
                mlx_rs::transforms::eval(cut.arrays())?;
                Ok(cut)
            }
            None => Ok(Self::empty(self.window)),
        }
    }

    /// Views of those of the first `len` positions that later ones see, and of the few before them
    /// that are kept; `None` if `len` is 0.
    pub(super) fn view(&self, len: usize) -> MlxResult<Option<KeysAndValues>> {
        let first = *kept_from(self.window, len).start();
        self.positions(first.max(self.start), len)
    }

    /// Views of the positions from `first` up to `len`; `None` if `len` is 0.
    fn positions(&self, first: usize, len: usize) -> MlxResult<Option<KeysAndValues>> {
        let Some(buffers) = self.buffers.as_ref().filter(|_| len > 0) else {
            return Ok(None);
        };
        let kept = (first - self.start) as i32..(len - self.start) as i32;
        buffers
            .map(|buffer| slices::positions(buffer, kept.clone()))
            .map(Some)
    }

    /// The shortest length, apart from 0, at which the next token sees no position that is gone,
    /// and one position is left.
    pub(super) fn earliest_cut(&self) -> usize {
        match (self.start, self.window) {
            (0, _) | (_, None) => 0,
            (start, Some(window)) => start + (window - 1).max(1),
        }
    }

    /// Whether it begins with the first position as long as there are at most `len`, also where it
    /// has been outside of the model.
    pub(super) fn keeps_everything(&self, len: usize) -> bool {
        first_seen(self.window, len) == 0
    }

    /// Positions of the buffers that have to be made for `more` positions behind `len`; 0 if they
    /// fit into those that are there.
    pub(super) fn growth(&self, len: usize, more: usize) -> usize {
        if self.has_room(len, more) {
            return 0;
        }
        let first = first_seen(self.window, len);
        capacity_for(len + more) - self.start.max(start_for(self.window, first))
    }

    /// The position up to which the buffers have room.
    pub(super) fn end(&self) -> usize {
        let capacity = self.buffers.as_ref().map_or(0, KeysAndValues::positions);
        self.start + capacity
    }

    /// The buffers, if there are any.
    pub(super) fn buffers(&self) -> Option<&KeysAndValues> {
        self.buffers.as_ref()
    }

    /// Bytes of the buffers.
    pub(super) fn bytes(&self) -> u64 {
        self.buffers.as_ref().map_or(0, KeysAndValues::bytes)
    }

    /// Whether `more` positions behind `len` fit into the buffers, and no more than a step of what
    /// is there is out of sight.
    fn has_room(&self, len: usize, more: usize) -> bool {
        let start = start_for(self.window, first_seen(self.window, len));
        self.end() >= len + more && start < self.start + STEP
    }

    /// The buffers with room for `new` behind `len`, and the position with which they begin.
    fn with_room(&self, len: usize, new: &KeysAndValues) -> MlxResult<(usize, KeysAndValues)> {
        let end = len + new.positions();
        let old = self.buffers.as_ref();
        if let Some(buffers) = old.filter(|_| self.has_room(len, new.positions())) {
            return Ok((self.start, buffers.clone()));
        }
        let first = first_seen(self.window, len);
        let start = self.start.max(start_for(self.window, first));
        let Some(buffers) = old.filter(|_| len > start) else {
            let room = capacity_for(end) - start;
            return Ok((start, new.map(|new| zeros(new, room))?));
        };
        let kept = (start - self.start) as i32..(len - self.start) as i32;
        let grown = buffers.map(|buffer| {
            let kept = slices::positions(buffer, kept.clone())?;
            let room = zeros(&kept, capacity_for(end) - len)?;
            concatenate(&[kept, room], 2)
        })?;
        Ok((start, grown))
    }
}

impl KvCache for StepCache {
    fn append(
        &self,
        len: usize,
        first: usize,
        new: &KeysAndValues,
    ) -> MlxResult<(Self, KeysAndValues)> {
        let (start, buffers) = self.with_room(len, new)?;
        let place = (len - start) as i32;
        let buffers = buffers.zip(new, |buffer, new| {
            slices::with_positions(buffer, place, new)
        })?;
        let seen = (first - start) as i32..(len + new.positions() - start) as i32;
        let seen = buffers.map(|buffer| {
            if seen == (0..buffer.dim(2)) {
                Ok(buffer.clone())
            } else {
                slices::positions(buffer, seen.clone())
            }
        })?;
        let cache = Self {
            window: self.window,
            start,
            buffers: Some(buffers),
        };
        Ok((cache, seen))
    }

    fn arrays(&self) -> Vec<&Array> {
        self.buffers
            .iter()
            .flat_map(KeysAndValues::arrays)
            .collect()
    }
}

/// The first position that a token at position `len` sees.
pub(super) fn first_seen(window: Option<usize>, len: usize) -> usize {
    window.map_or(0, |window| len.saturating_add(1).saturating_sub(window))
}

/// The first position without which a sequence of `len` positions can't go on, or its last one: no
/// array is empty.
fn first_needed(window: Option<usize>, len: usize) -> usize {
    first_seen(window, len).min(len.saturating_sub(1))
}

/// With which position what is kept of `len` may begin: with the first of those without which a
/// sequence can't go on, or a few before that.
pub(super) fn kept_from(window: Option<usize>, len: usize) -> std::ops::RangeInclusive<usize> {
    let needed = first_needed(window, len);
    needed.saturating_sub(SPARE)..=needed
}

/// The position with which buffers begin from which `first` is to be read.
fn start_for(window: Option<usize>, first: usize) -> usize {
    match window {
        Some(_) => first.saturating_sub(SPARE) / STEP * STEP,
        None => 0,
    }
}

/// The position up to which a buffer of `len` positions has room.
pub(super) fn capacity_for(len: usize) -> usize {
    len.next_multiple_of(STEP)
}

fn zeros(like: &Array, positions: usize) -> MlxResult<Array> {
    let shape = [like.dim(0), like.dim(1), positions as i32, like.dim(3)];
    zeros_dtype(&shape, like.dtype())
}

#[cfg(test)]
mod tests;
