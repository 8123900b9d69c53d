//! The caches of sequences that decode in step, one token each.
//!
//! With a cache of its own every sequence takes kernels of its own in every layer. Here each is a
//! row of one buffer, and one kernel serves all. All rows end at the same position, so that a
//! step writes one column; a shorter sequence begins behind padding.

use engine_core::SequenceId;
use mlx_rs::{Array, error::Exception, ops::arange, ops::zeros_dtype};

use super::{
    attention::PaddingArrays,
    exception::MlxResult,
    kv_cache::{KvCache, StepCache, capacity_for},
    kv_numbers::{KeysAndValues, Stored},
    slices::{self, RowPositions},
};

/// A sequence in the buffers.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// `None` once the sequence has been closed or taken out.
    sequence: Option<SequenceId>,
    /// Positions before its first.
    padding: usize,
}

/// A sequence that is to join.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) sequence: SequenceId,
    /// Its positions in every layer, at least one: in those of a batch all, elsewhere those that
    /// later tokens see.
    pub(super) layers: Vec<KeysAndValues>,
}

impl Member {
    fn len(&self) -> usize {
        self.layers.first().map_or(0, KeysAndValues::positions)
    }
}

/// Sequences side by side.
#[derive(Debug)]
pub(super) struct BatchCache {
    rows: Vec<Row>,
    /// Positions that are filled, padding included.
    len: usize,
    layers: Vec<StepCache>,
}

impl BatchCache {
    /// Copies the members into one buffer for each layer.
    pub(super) fn gather(members: &[Member]) -> MlxResult<Self> {
        let len = members.iter().map(Member::len).max().unwrap_or(0);
        let rows: Vec<Row> = members
            .iter()
            .map(|member| Row {
                sequence: Some(member.sequence),
                padding: len - member.len(),
            })
            .collect();
        let count = members.first().map_or(0, |member| member.layers.len());
        let mut layers = Vec::with_capacity(count);
        for layer in 0..count {
            let of = |part: fn(&KeysAndValues) -> &Stored| {
                let pieces: Vec<&Stored> = members
                    .iter()
                    .map(|member| part(&member.layers[layer]))
                    .collect();
                side_by_side(&pieces, &rows, len)
            };
            let buffers = KeysAndValues {
                keys: of(|layer| &layer.keys)?,
                values: of(|layer| &layer.values)?,
            };
            mlx_rs::transforms::eval(buffers.arrays())?;
            layers.push(StepCache::of(buffers));
        }
        Ok(Self { rows, len, layers })
    }

    /// Whether these are the sequences, in this order, and no others.
    pub(super) fn holds_just(&self, sequences: impl ExactSizeIterator<Item = SequenceId>) -> bool {
        self.rows.len() == sequences.len()
            && self
                .rows
                .iter()
                .zip(sequences)
                .all(|(row, sequence)| row.sequence == Some(sequence))
    }

    /// Positions that are filled, padding included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Positions that fit without growing.
    pub(super) fn capacity(&self) -> usize {
        self.layers.first().map_or(0, StepCache::end)
    }

    /// Bytes of the buffers.
    pub(super) fn bytes(&self) -> u64 {
        self.layers.iter().map(StepCache::bytes).sum()
    }

    /// The part of the buffers that belongs to some of its sequences.
    pub(super) fn bytes_of(&self, sequences: &[SequenceId]) -> u64 {
        let held = self.sequences().filter(|id| sequences.contains(id)).count();
        self.bytes() / self.rows.len().max(1) as u64 * held as u64
    }

    /// One cache for each layer.
    pub(super) fn layers(&self) -> &[StepCache] {
        &self.layers
    }

    /// Takes the caches with another position, and lets go of the old ones.
    pub(super) fn replace(&mut self, layers: Vec<StepCache>) {
        self.layers = layers;
        self.len += 1;
    }

    /// What attention has to know of the padding in the step that comes next.
    pub(super) fn padding(&self) -> MlxResult<PaddingArrays> {
        let count = self.rows.len() as i32;
        let numbers = |number: fn(&Self, &Row) -> usize| {
            let numbers: Vec<i32> = self
                .rows
                .iter()
                .map(|row| number(self, row) as i32)
                .collect();
            Array::from_slice(&numbers, &[count])
        };
        let starts = numbers(|cache, row| cache.len - row.padding);
        if self.rows.iter().all(|row| row.padding == 0) {
            return Ok(PaddingArrays { starts, seen: None });
        }
        let padding = numbers(|_, row| row.padding).reshape(&[count, 1, 1, 1])?;
        let positions = arange::<i32, i32>(0, self.len as i32 + 1, None)?;
        let seen = positions.reshape(&[1, 1, 1, -1])?.ge(&padding)?;
        Ok(PaddingArrays {
            starts,
            seen: Some(seen),
        })
    }

    /// Views of a sequence's positions; `None` if it is not here.
    pub(super) fn view(&self, sequence: SequenceId) -> MlxResult<Option<Member>> {
        let Some(index) = self.index(sequence) else {
            return Ok(None);
        };
        let place = RowPositions {
            row: index as i32,
            positions: self.rows[index].padding as i32..self.len as i32,
        };
        let layers = self
            .layers
            .iter()
            .filter_map(StepCache::buffers)
            .map(|buffers| buffers.map(|buffer| slices::row_positions(buffer, &place)))
            .collect::<MlxResult<_>>()?;
        Ok(Some(Member { sequence, layers }))
    }

    /// Forgets a sequence; `true` if none is left. Its row is given up at the next gathering.
    pub(super) fn forget(&mut self, sequence: SequenceId) -> bool {
        if let Some(index) = self.index(sequence) {
            self.rows[index].sequence = None;
        }
        self.rows.iter().all(|row| row.sequence.is_none())
    }

    /// All sequences.
    pub(super) fn sequences(&self) -> impl Iterator<Item = SequenceId> {
        self.rows.iter().filter_map(|row| row.sequence)
    }

    fn index(&self, sequence: SequenceId) -> Option<usize> {
        self.rows
            .iter()
            .position(|row| row.sequence == Some(sequence))
    }
}

/// Caches of a sequence's own with what a view shows, copied so that the view can go.
pub(super) fn copied(member: &Member) -> MlxResult<Vec<StepCache>> {
    member
        .layers
        .iter()
        .map(|layer| {
            let cache = StepCache::with(None, layer.positions(), layer)?;
            mlx_rs::transforms::eval(cache.arrays())?;
            Ok(cache)
        })
        .collect()
}

/// The pieces as rows of buffers with room for further positions, each up to `len`.
fn side_by_side(pieces: &[&Stored], rows: &[Row], len: usize) -> MlxResult<Stored> {
    let Some(first) = pieces.first() else {
        return Err(Exception::custom("a batch without sequences"));
    };
    let mut buffers = first.map(|first| {
        let shape = [
            pieces.len() as i32,
            first.dim(1),
            capacity_for(len + 1) as i32,
            first.dim(3),
        ];
        zeros_dtype(&shape, first.dtype())
    })?;
    for (index, (piece, row)) in pieces.iter().zip(rows).enumerate() {
        let place = RowPositions {
            row: index as i32,
            positions: row.padding as i32..len as i32,
        };
        buffers = buffers.zip(piece, |buffer, piece| {
            slices::with_row_positions(buffer, &place, piece)
        })?;
    }
    Ok(buffers)
}
