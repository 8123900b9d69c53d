//! A layer's pages of one sequence, those aside that no later token sees.

use std::sync::Arc;

use engine_core::Result;

use crate::{
    cache::{Page, PageShape},
    kernels::PAGE,
};

/// The pages of one layer, without those before its window.
///
/// A token at position `p` sees the positions from `p + 1 - window` on. What lies before that for
/// the next token is given up in whole pages, but for one page more: a sequence can always be cut
/// by a few tokens.
#[derive(Clone, Debug)]
pub(crate) struct LayerPages {
    /// Positions that a token sees, itself included; all if `None`.
    window: Option<usize>,
    /// Pages given up.
    given_up: usize,
    /// The pages behind those, in order.
    held: Vec<Arc<Page>>,
}

impl LayerPages {
    /// No pages.
    pub(crate) fn empty(window: Option<usize>) -> Self {
        Self {
            window,
            given_up: 0,
            held: Vec::new(),
        }
    }

    /// The last pages of `len` positions.
    pub(crate) fn ending_at(window: Option<usize>, len: usize, held: Vec<Arc<Page>>) -> Self {
        Self {
            window,
            given_up: len.div_ceil(PAGE).saturating_sub(held.len()),
            held,
        }
    }

    /// Numbers of the pages without which a sequence of `len` positions can't go on.
    pub(crate) fn needed(window: Option<usize>, len: usize) -> std::ops::Range<usize> {
        first_seen(window, len) / PAGE..len.div_ceil(PAGE)
    }

    /// Numbers of the pages that a sequence of `len` positions holds unless it was cut back to them.
    pub(crate) fn usual(window: Option<usize>, len: usize) -> std::ops::Range<usize> {
        first_spare(window, len) / PAGE..len.div_ceil(PAGE)
    }

    /// The pages of `len` positions, but for what a sequence of that length gives up.
    pub(crate) fn kept(&self, len: usize) -> &[Arc<Page>] {
        let usual = Self::usual(self.window, len).start;
        let unused = usual.saturating_sub(self.given_up);
        self.held.get(unused..).unwrap_or(&[])
    }

    /// All pages that are held.
    pub(crate) fn held(&self) -> &[Arc<Page>] {
        &self.held
    }

    /// How many pages come before those.
    pub(crate) fn given_up(&self) -> usize {
        self.given_up
    }

    /// The pages from this number on.
    pub(crate) fn starting_at(&mut self, number: usize) -> impl Iterator<Item = &mut Arc<Page>> {
        let behind = number.saturating_sub(self.given_up);
        self.held.iter_mut().skip(behind)
    }

    /// The shortest length, apart from 0, at which the next token sees no page that is given up.
    pub(crate) fn earliest_cut(&self) -> usize {
        match (self.given_up, self.window) {
            (0, _) | (_, None) => 0,
            (given_up, Some(window)) => given_up * PAGE + window - 1,
        }
    }

    /// Makes room for `more` positions behind `len`, in pages that nobody else holds.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](engine_core::Error::OutOfMemory) if the system has no memory left.
    pub(crate) fn reserve(&mut self, len: usize, more: usize, shape: PageShape) -> Result<()> {
        for page in self.starting_at(len / PAGE) {
            if Arc::get_mut(page).is_none() {
                *page = Arc::new(page.copy()?);
            }
        }
        let wanted = (len + more).div_ceil(PAGE) - self.given_up;
        while self.held.len() < wanted {
            self.held.push(Arc::new(Page::new(shape)?));
        }
        Ok(())
    }

    /// Lets go of pages that lie behind `len`, and of those that no token from there on sees.
    pub(crate) fn release_unused(&mut self, len: usize) {
        let used = len.div_ceil(PAGE).saturating_sub(self.given_up);
        self.held.truncate(used);
        let unseen = (first_spare(self.window, len) / PAGE).saturating_sub(self.given_up);
        self.held.drain(..unseen.min(self.held.len()));
        self.given_up += unseen;
    }
}

/// The first position that is kept of `len`.
fn first_spare(window: Option<usize>, len: usize) -> usize {
    first_seen(window, len).saturating_sub(PAGE)
}

/// The first position that a token at position `len` sees.
fn first_seen(window: Option<usize>, len: usize) -> usize {
    window.map_or(0, |window| len.saturating_add(1).saturating_sub(window))
}
