//! The open sequences of a model.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use engine_core::{Error, Field, Result, SequenceId, SequenceState};

use crate::{
    cache::{Page, PageShape},
    pages::LayerPages,
    state,
};

/// A sequence: how many tokens it has, and their keys and values in every layer.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) len: usize,
    /// Each layer's pages.
    pub(crate) layers: Vec<LayerPages>,
}

impl Sequence {
    fn empty(windows: &[Option<usize>]) -> Self {
        Self {
            len: 0,
            layers: windows.iter().copied().map(LayerPages::empty).collect(),
        }
    }

    /// Makes room for `more` positions, in pages that nobody else holds. The length stays.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no memory left.
    pub(crate) fn reserve(&mut self, more: usize, shape: PageShape) -> Result<()> {
        self.layers
            .iter_mut()
            .try_for_each(|pages| pages.reserve(self.len, more, shape))
    }

    /// Lets go of pages that the length does not reach, and of those that lie before the windows.
    pub(crate) fn release_unused(&mut self) {
        for pages in &mut self.layers {
            pages.release_unused(self.len);
        }
    }

    /// The shortest length, apart from 0, that it can be cut to.
    pub(crate) fn earliest_cut(&self) -> usize {
        let cuts = self.layers.iter().map(LayerPages::earliest_cut);
        cuts.max().unwrap_or(0)
    }
}

/// All open sequences. No number is given out twice.
#[derive(Debug)]
pub(crate) struct Sequences {
    open: BTreeMap<SequenceId, Sequence>,
    given_out: u64,
    /// Each layer's window: see [`LayerPages`].
    windows: Vec<Option<usize>>,
    shape: PageShape,
}

impl Sequences {
    pub(crate) fn new(windows: Vec<Option<usize>>, shape: PageShape) -> Self {
        Self {
            open: BTreeMap::new(),
            given_out: 0,
            windows,
            shape,
        }
    }

    pub(crate) fn shape(&self) -> PageShape {
        self.shape
    }

    pub(crate) fn open(&mut self) -> SequenceId {
        self.insert(Sequence::empty(&self.windows))
    }

    /// An empty sequence that is none of the open ones.
    pub(crate) fn detached(&self) -> Sequence {
        Sequence::empty(&self.windows)
    }

    pub(crate) fn fork(&mut self, id: SequenceId) -> Result<SequenceId> {
        let copy = self.get(id)?.clone();
        Ok(self.insert(copy))
    }

    pub(crate) fn get(&self, id: SequenceId) -> Result<&Sequence> {
        self.open.get(&id).ok_or_else(|| unknown(id))
    }

    /// Takes a sequence out, to be put back by [`Sequences::put_back`].
    pub(crate) fn take(&mut self, id: SequenceId) -> Result<Sequence> {
        self.open.remove(&id).ok_or_else(|| unknown(id))
    }

    pub(crate) fn put_back(&mut self, id: SequenceId, sequence: Sequence) {
        self.open.insert(id, sequence);
    }

    pub(crate) fn truncate(&mut self, id: SequenceId, len: usize) -> Result<()> {
        let sequence = self.open.get_mut(&id).ok_or_else(|| unknown(id))?;
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
        let earliest = sequence.earliest_cut();
        if len == 0 {
            *sequence = Sequence::empty(&self.windows);
            return Ok(());
        }
        if len < earliest {
            return Err(Error::CutTooFar { len, earliest });
        }
        // What lies behind the length is written before it is read again.
        sequence.len = len;
        sequence.release_unused();
        Ok(())
    }

    /// Whether a sequence of `context` tokens gives up nothing.
    pub(crate) fn keep_everything(&self, context: usize) -> bool {
        let mut longest = Sequence::empty(&self.windows);
        longest.len = context;
        longest.release_unused();
        longest.earliest_cut() == 0
    }

    pub(crate) fn close(&mut self, id: SequenceId) -> Result<()> {
        self.open.remove(&id).map(drop).ok_or_else(|| unknown(id))
    }

    pub(crate) fn count(&self) -> usize {
        self.open.len()
    }

    /// Bytes of all pages; those that forks share count once.
    pub(crate) fn bytes(&self) -> u64 {
        self.page_bytes(self.open.values())
    }

    /// Bytes of the pages of some sequences; those that they share count once.
    pub(crate) fn bytes_of(&self, ids: &[SequenceId]) -> u64 {
        self.page_bytes(ids.iter().filter_map(|id| self.open.get(id)))
    }

    fn page_bytes<'a>(&self, sequences: impl Iterator<Item = &'a Sequence>) -> u64 {
        let pages: HashSet<*const Page> = sequences
            .flat_map(|sequence| sequence.layers.iter().flat_map(LayerPages::held))
            .map(Arc::as_ptr)
            .collect();
        pages.len() as u64 * self.shape.bytes()
    }

    pub(crate) fn export(&self, id: SequenceId) -> Result<SequenceState> {
        Ok(state::export(self.get(id)?, self.shape))
    }

    pub(crate) fn import(&mut self, state: &SequenceState) -> Result<SequenceId> {
        let sequence = state::import(state, &self.windows, self.shape)?;
        Ok(self.insert(sequence))
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
