//! The open sequences of a model.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use engine_core::{Error, Field, Result, SequenceId, SequenceState};

use crate::{
    cache::{Page, PageShape},
    kernels::PAGE,
    state,
};

/// A sequence: how many tokens it has, and their keys and values in every layer.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) len: usize,
    /// Each layer's pages.
    pub(crate) layers: Vec<Vec<Arc<Page>>>,
}

impl Sequence {
    fn empty(layers: usize) -> Self {
        Self {
            len: 0,
            layers: vec![Vec::new(); layers],
        }
    }

    /// Makes room for `more` positions, in pages that nobody else holds. The length stays.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no memory left.
    pub(crate) fn reserve(&mut self, more: usize, shape: PageShape) -> Result<()> {
        let first_written = self.len / PAGE;
        let wanted = (self.len + more).div_ceil(PAGE);
        for pages in &mut self.layers {
            for page in pages.iter_mut().skip(first_written) {
                if Arc::get_mut(page).is_none() {
                    *page = Arc::new(page.copy()?);
                }
            }
            while pages.len() < wanted {
                pages.push(Arc::new(Page::new(shape)?));
            }
        }
        Ok(())
    }

    /// Lets go of pages that the length does not reach.
    pub(crate) fn release_unused(&mut self) {
        let used = self.len.div_ceil(PAGE);
        for pages in &mut self.layers {
            pages.truncate(used);
        }
    }
}

/// All open sequences. No number is given out twice.
#[derive(Debug)]
pub(crate) struct Sequences {
    open: BTreeMap<SequenceId, Sequence>,
    given_out: u64,
    layers: usize,
    shape: PageShape,
}

impl Sequences {
    pub(crate) fn new(layers: usize, shape: PageShape) -> Self {
        Self {
            open: BTreeMap::new(),
            given_out: 0,
            layers,
            shape,
        }
    }

    pub(crate) fn shape(&self) -> PageShape {
        self.shape
    }

    pub(crate) fn open(&mut self) -> SequenceId {
        self.insert(Sequence::empty(self.layers))
    }

    /// An empty sequence that is none of the open ones.
    pub(crate) fn detached(&self) -> Sequence {
        Sequence::empty(self.layers)
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
        // What lies behind the length is written before it is read again.
        sequence.len = len;
        sequence.release_unused();
        Ok(())
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
            .flat_map(|sequence| sequence.layers.iter().flatten())
            .map(Arc::as_ptr)
            .collect();
        pages.len() as u64 * self.shape.bytes()
    }

    pub(crate) fn export(&self, id: SequenceId) -> Result<SequenceState> {
        Ok(state::export(self.get(id)?, self.shape))
    }

    pub(crate) fn import(&mut self, state: &SequenceState) -> Result<SequenceId> {
        let sequence = state::import(state, self.layers, self.shape)?;
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
