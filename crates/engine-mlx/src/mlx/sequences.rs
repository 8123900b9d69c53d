//! The open sequences of a model.

use std::{borrow::Cow, collections::BTreeMap};

use engine_core::{Error, Field, Result, SequenceId, SequenceState};

use super::{
    batch::Sizes,
    batch_cache::{self, BatchCache, Member},
    exception::{Doing, MlxResult},
    kv_cache::StepCache,
    state,
};
use crate::backend::NAME;

/// A sequence: how many tokens it has, and where their keys and values are.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    len: usize,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// Caches of its own, one for each layer.
    Own(Vec<StepCache>),
    /// In the buffers of those that go in step.
    Batch,
    /// Nowhere: the device failed while it wrote the caches.
    Lost,
}

impl Sequence {
    fn empty(windows: &[Option<usize>]) -> Self {
        Self {
            len: 0,
            place: Place::Own(empty_caches(windows)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// # Errors
    /// If a step failed halfway and left no caches.
    pub(super) fn ensure_kept(&self) -> Result<()> {
        match self.place {
            Place::Lost => Err(lost()),
            _ => Ok(()),
        }
    }

    /// The caches of all layers, once it has been taken out of the batch.
    pub(super) fn caches(&self) -> Result<&[StepCache]> {
        match &self.place {
            Place::Own(caches) => Ok(caches),
            Place::Batch => Err(Error::backend(
                NAME,
                "continue a sequence",
                "its cache is still part of a batch",
            )),
            Place::Lost => Err(lost()),
        }
    }

    /// Takes the caches of the next length, and lets go of the old ones.
    pub(super) fn replace_caches(&mut self, caches: Vec<StepCache>) {
        self.place = Place::Own(caches);
    }

    /// Counts the positions that the caches have gained.
    pub(super) fn extend(&mut self, positions: usize) {
        self.len += positions;
    }

    /// Forgets caches that were not written to the end. The length stays.
    fn lose_caches(&mut self, windows: &[Option<usize>]) {
        self.place = match self.len {
            0 => Place::Own(empty_caches(windows)),
            _ => Place::Lost,
        };
    }

    fn own(&self) -> &[StepCache] {
        match &self.place {
            Place::Own(caches) => caches,
            _ => &[],
        }
    }

    /// Views of its own caches' positions.
    fn views(&self, id: SequenceId) -> MlxResult<Member> {
        let layers = self
            .own()
            .iter()
            .filter_map(|cache| cache.view(self.len).transpose())
            .collect::<MlxResult<_>>()?;
        Ok(Member {
            sequence: id,
            layers,
        })
    }

    /// Bytes of its own caches, room for further positions included.
    fn bytes(&self) -> u64 {
        self.own().iter().map(StepCache::bytes).sum()
    }

    /// Positions of all layers' buffers that have to be made for `more` positions; `None` if it
    /// has no caches of its own.
    pub(super) fn growth(&self, more: usize) -> Option<usize> {
        let growth = |cache: &StepCache| cache.growth(self.len, more);
        match &self.place {
            Place::Own(caches) => Some(caches.iter().map(growth).sum()),
            _ => None,
        }
    }

    /// The shortest length, apart from 0, that it can be cut to.
    pub(super) fn earliest_cut(&self) -> usize {
        let cuts = self.own().iter().map(StepCache::earliest_cut);
        cuts.max().unwrap_or(0)
    }
}

/// All open sequences. No number is given out twice.
#[derive(Debug)]
pub(super) struct Sequences {
    open: BTreeMap<SequenceId, Sequence>,
    /// Those that last went in step.
    batch: Option<BatchCache>,
    given_out: u64,
    /// Positions that a token sees in each layer, itself included; all if `None`.
    windows: Vec<Option<usize>>,
}

impl Sequences {
    pub(super) fn new(windows: Vec<Option<usize>>) -> Self {
        Self {
            open: BTreeMap::new(),
            batch: None,
            given_out: 0,
            windows,
        }
    }

    pub(super) fn open(&mut self) -> SequenceId {
        self.insert(Sequence::empty(&self.windows))
    }

    pub(super) fn fork(&mut self, id: SequenceId) -> Result<SequenceId> {
        let mut copy = self.get(id)?.clone();
        if let Some(caches) = self.copy_out(id)? {
            copy.replace_caches(caches);
        }
        Ok(self.insert(copy))
    }

    pub(super) fn get(&self, id: SequenceId) -> Result<&Sequence> {
        self.open.get(&id).ok_or_else(|| unknown(id))
    }

    pub(super) fn get_mut(&mut self, id: SequenceId) -> Result<&mut Sequence> {
        self.open.get_mut(&id).ok_or_else(|| unknown(id))
    }

    pub(super) fn truncate(&mut self, id: SequenceId, len: usize) -> Result<()> {
        let held = self.get(id)?.len;
        if len > held {
            return Err(Error::InvalidParameter {
                field: Field::Prompt,
                value: format!("{len} tokens"),
                expected: Cow::Owned(format!("cut to at most the {held} tokens of the sequence")),
            });
        }
        if len == held {
            return Ok(());
        }
        if len == 0 {
            self.leave_batch(id);
            let empty = Sequence::empty(&self.windows);
            *self.get_mut(id)? = empty;
        } else {
            let earliest = self.get(id)?.earliest_cut();
            if len < earliest {
                return Err(Error::CutTooFar { len, earliest });
            }
            self.separate(id)?;
            // A short beginning must not hold, nor copy when it goes on, what was behind it.
            let cut = |cache: &StepCache| cache.cut(len);
            let caches: MlxResult<_> = self.get(id)?.own().iter().map(cut).collect();
            let sequence = self.get_mut(id)?;
            if let Place::Own(own) = &mut sequence.place {
                *own = caches.doing("cut a KV cache")?;
            }
            // What lies behind the length is written before it is read again.
            sequence.len = len;
        }
        Ok(())
    }

    /// Whether no sequence of up to `context` tokens gives up anything.
    pub(super) fn keep_everything(&self, context: usize) -> bool {
        let caches = empty_caches(&self.windows);
        caches.iter().all(|cache| cache.keeps_everything(context))
    }

    pub(super) fn close(&mut self, id: SequenceId) -> Result<()> {
        self.open.remove(&id).ok_or_else(|| unknown(id))?;
        self.leave_batch(id);
        Ok(())
    }

    /// Gives a sequence caches of its own, if it is in the batch.
    pub(super) fn separate(&mut self, id: SequenceId) -> Result<()> {
        if let Some(caches) = self.copy_out(id)? {
            self.leave_batch(id);
            self.get_mut(id)?.replace_caches(caches);
        }
        Ok(())
    }

    /// Lays the caches of these sequences side by side, unless they already are.
    ///
    /// # Errors
    /// After an error all sequences are as they were.
    pub(super) fn gather(&mut self, ids: &[SequenceId]) -> Result<&BatchCache> {
        if !self.is_gathered(ids) {
            let members = ids
                .iter()
                .map(|id| self.member(*id))
                .collect::<Result<Vec<_>>>()?;
            let gathered = BatchCache::gather(&members).doing("batch the KV caches")?;
            let others: Vec<SequenceId> = self
                .batch
                .iter()
                .flat_map(BatchCache::sequences)
                .filter(|id| !ids.contains(id))
                .collect();
            for id in others {
                self.separate(id)?;
            }
            for id in ids {
                self.get_mut(*id)?.place = Place::Batch;
            }
            self.batch = Some(gathered);
        }
        self.batch
            .as_ref()
            .ok_or_else(|| Error::backend(NAME, "batch the KV caches", "there is no batch"))
    }

    /// Whether these sequences lie side by side, in this order, and no others with them.
    pub(super) fn is_gathered(&self, ids: &[SequenceId]) -> bool {
        self.batch
            .as_ref()
            .is_some_and(|batch| batch.holds_just(ids.iter().copied()))
    }

    /// The batch, if there is one.
    pub(super) fn batch(&self) -> Option<&BatchCache> {
        self.batch.as_ref()
    }

    /// Takes the batch's caches with another position, and lets go of the old ones.
    pub(super) fn replace_batch(&mut self, caches: Vec<StepCache>) {
        if let Some(batch) = &mut self.batch {
            batch.replace(caches);
        }
    }

    /// Forgets the caches of a sequence that were not written to the end, and with them those of
    /// all that go in step with it. The lengths stay.
    pub(super) fn lose_caches(&mut self, id: SequenceId) {
        let in_step = self
            .batch
            .take_if(|batch| batch.sequences().any(|member| member == id));
        let lost = in_step.iter().flat_map(BatchCache::sequences).chain([id]);
        for id in lost {
            if let Some(sequence) = self.open.get_mut(&id) {
                sequence.lose_caches(&self.windows);
            }
        }
    }

    /// A copy of a sequence's positions in the batch; `None` if it is not there.
    fn copy_out(&self, id: SequenceId) -> Result<Option<Vec<StepCache>>> {
        let Some(batch) = &self.batch else {
            return Ok(None);
        };
        batch
            .view(id)
            .and_then(|view| view.as_ref().map(batch_cache::copied).transpose())
            .doing("copy a KV cache out of its batch")
    }

    /// A sequence's positions, wherever they are.
    fn member(&self, id: SequenceId) -> Result<Member> {
        let operation = "batch the KV caches";
        let sequence = self.get(id)?;
        if let Some(batch) = &self.batch
            && let Some(member) = batch.view(id).doing(operation)?
        {
            return Ok(member);
        }
        sequence.caches()?;
        sequence.views(id).doing(operation)
    }

    /// A copy of a sequence's positions, to leave the model.
    pub(super) fn export(&self, id: SequenceId) -> Result<SequenceState> {
        state::export(&self.member(id)?, self.get(id)?.len)
    }

    /// Opens the sequence of an export.
    pub(super) fn import(&mut self, state: &SequenceState, sizes: &Sizes) -> Result<SequenceId> {
        let caches = state::import(state, &self.windows, sizes)?;
        Ok(self.insert(Sequence {
            len: state.len,
            place: Place::Own(caches),
        }))
    }

    fn leave_batch(&mut self, id: SequenceId) {
        let _ = self.batch.take_if(|batch| batch.forget(id));
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Bytes of all caches.
    pub(super) fn bytes(&self) -> u64 {
        let own: u64 = self.open.values().map(Sequence::bytes).sum();
        own + self.batch.as_ref().map_or(0, BatchCache::bytes)
    }

    /// Bytes of the caches of some sequences, their part of the batch included.
    pub(super) fn bytes_of(&self, ids: &[SequenceId]) -> u64 {
        let own = ids.iter().filter_map(|id| self.open.get(id));
        let in_batch = self.batch.as_ref().map_or(0, |batch| batch.bytes_of(ids));
        own.map(Sequence::bytes).sum::<u64>() + in_batch
    }

    fn insert(&mut self, sequence: Sequence) -> SequenceId {
        self.given_out += 1;
        let id = SequenceId::new(self.given_out);
        self.open.insert(id, sequence);
        id
    }
}

fn empty_caches(windows: &[Option<usize>]) -> Vec<StepCache> {
    windows.iter().copied().map(StepCache::empty).collect()
}

fn unknown(id: SequenceId) -> Error {
    Error::UnknownSequence { id: id.get() }
}

fn lost() -> Error {
    Error::backend(
        NAME,
        "continue a sequence",
        "its cache was lost when an earlier step failed; open another sequence",
    )
}
