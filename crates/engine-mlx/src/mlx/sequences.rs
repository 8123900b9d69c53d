//! The open sequences of a model.

use std::{borrow::Cow, collections::BTreeMap};

use engine_core::{Error, Field, Result, SequenceId};

use super::kv_cache::StepCache;
use crate::backend::NAME;

/// A sequence: how many tokens it has, and their keys and values in every layer.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    len: usize,
    caches: Vec<StepCache>,
    /// The device failed while it wrote the caches.
    lost: bool,
}

impl Sequence {
    fn empty(layers: usize) -> Self {
        Self {
            len: 0,
            caches: vec![StepCache::default(); layers],
            lost: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The caches of all layers.
    ///
    /// # Errors
    /// If a step failed halfway and left none.
    pub(super) fn caches(&self) -> Result<&[StepCache]> {
        if self.lost {
            return Err(Error::backend(
                NAME,
                "continue a sequence",
                "its cache was lost when an earlier step failed; open another sequence",
            ));
        }
        Ok(&self.caches)
    }

    /// Takes the caches of the next length, and lets go of the old ones.
    pub(super) fn replace_caches(&mut self, caches: Vec<StepCache>) {
        self.caches = caches;
    }

    /// Counts the positions that the caches have gained.
    pub(super) fn extend(&mut self, positions: usize) {
        self.len += positions;
    }

    /// Forgets caches that were not written to the end. The length stays.
    pub(super) fn lose_caches(&mut self) {
        let layers = self.caches.len();
        self.caches = vec![StepCache::default(); layers];
        self.lost = self.len > 0;
    }

    /// Bytes of the caches, room for further positions included.
    pub(super) fn bytes(&self) -> u64 {
        self.caches.iter().map(StepCache::bytes).sum()
    }

    /// Positions that fit into the caches as they are.
    pub(super) fn capacity(&self) -> usize {
        self.caches.first().map_or(0, StepCache::capacity)
    }
}

/// All open sequences. No number is given out twice.
#[derive(Debug)]
pub(super) struct Sequences {
    open: BTreeMap<SequenceId, Sequence>,
    given_out: u64,
    layers: usize,
}

impl Sequences {
    pub(super) fn new(layers: usize) -> Self {
        Self {
            open: BTreeMap::new(),
            given_out: 0,
            layers,
        }
    }

    pub(super) fn open(&mut self) -> SequenceId {
        self.insert(Sequence::empty(self.layers))
    }

    pub(super) fn fork(&mut self, id: SequenceId) -> Result<SequenceId> {
        let copy = self.get(id)?.clone();
        Ok(self.insert(copy))
    }

    pub(super) fn get(&self, id: SequenceId) -> Result<&Sequence> {
        self.open.get(&id).ok_or_else(|| unknown(id))
    }

    pub(super) fn get_mut(&mut self, id: SequenceId) -> Result<&mut Sequence> {
        self.open.get_mut(&id).ok_or_else(|| unknown(id))
    }

    pub(super) fn truncate(&mut self, id: SequenceId, len: usize) -> Result<()> {
        let layers = self.layers;
        let sequence = self.get_mut(id)?;
        if len > sequence.len {
            return Err(Error::InvalidParameter {
                field: Field::Prompt,
                value: format!("{len} tokens"),
                expected: Cow::Owned(format!(
                    "cut to at most the {} tokens of the sequence",
                    sequence.len
                )),
            });
        }
        if len == 0 {
            *sequence = Sequence::empty(layers);
        } else {
            // What lies behind the length is written before it is read again.
            sequence.len = len;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, id: SequenceId) -> Result<()> {
        self.open.remove(&id).map(drop).ok_or_else(|| unknown(id))
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Bytes of all caches.
    pub(super) fn bytes(&self) -> u64 {
        self.open.values().map(Sequence::bytes).sum()
    }

    fn insert(&mut self, sequence: Sequence) -> SequenceId {
        self.given_out += 1;
        let id = SequenceId::new(self.given_out);
        self.open.insert(id, sequence);
        id
    }
}

fn unknown(id: SequenceId) -> Error {
    Error::UnknownSequence { id: id.get() }
}
