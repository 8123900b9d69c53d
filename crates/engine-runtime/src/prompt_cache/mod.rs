//! Sequences of generations that are over, for requests that begin in the same way.
//!
//! A request is a list of tokens, and so is what a sequence of the model holds. The longest
//! beginning that the two have in common need not be read again: a copy of the sequence, which
//! shares its memory, is cut there and goes on.

mod disk;
mod fingerprint;
mod index;

use engine_core::{Model, Result, SequenceId, TokenId};

use self::index::PrefixIndex;
use crate::engine::Guarded;

pub(crate) use disk::{load, save};

/// Entries at most, however little memory they take: each costs time at every look.
const MOST_ENTRIES: usize = 1024;
/// Fewer tokens in common are read again: every prompt begins with a token or two of the template.
const LEAST_COMMON: usize = 4;
/// The budget where none was asked for.
const LEAST_BUDGET: u64 = 512 << 20;

/// The cached sequences of one model.
///
/// Where sequences can be cut anywhere, an entry that another one extends is of no use and goes.
/// Where they can't, each entry serves only requests that begin with all of it.
#[derive(Debug)]
pub(crate) struct PromptCache {
    entries: PrefixIndex<SequenceId>,
    budget: u64,
    cuts: bool,
}

/// A sequence that is open for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) sequence: SequenceId,
    /// The first tokens of the prompt, which it holds already.
    pub(crate) cached: usize,
}

/// What the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) prompts: u32,
    pub(crate) bytes: u64,
}

/// The budget for a model with weights of this size, if none was asked for.
pub(crate) fn default_budget(weight_bytes: u64) -> u64 {
    LEAST_BUDGET.max(weight_bytes / 4)
}

impl PromptCache {
    /// A cache of at most `budget` bytes; 0 keeps nothing. `cuts`: see
    /// [`Model::can_truncate`].
    pub(crate) fn new(budget: u64, cuts: bool) -> Self {
        Self {
            entries: PrefixIndex::default(),
            budget,
            cuts,
        }
    }

    /// Whether anything may be kept.
    pub(crate) fn is_on(&self) -> bool {
        self.budget > 0
    }

    /// Whether places to come back to have to be kept on the way.
    pub(crate) fn needs_checkpoints(&self) -> bool {
        self.is_on() && !self.cuts
    }

    /// Opens a sequence that holds as much of the prompt as an entry has in common with it, its
    /// last token aside, from which the first logits come.
    pub(crate) fn open_for<M: Model>(
        &mut self,
        model: &mut Guarded<M>,
        prompt: &[TokenId],
    ) -> Result<Opened> {
        match self.open_cached(model, prompt) {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) => {}
            Err(error) if model.has_panicked() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "a cached prompt can't be used; the cache is emptied");
                self.clear(model);
            }
        }
        let sequence = self.with_room(model, |model| model.call("open a sequence", Model::open))?;
        Ok(Opened {
            sequence,
            cached: 0,
        })
    }

    fn open_cached<M: Model>(
        &mut self,
        model: &mut Guarded<M>,
        prompt: &[TokenId],
    ) -> Result<Option<Opened>> {
        let Some((_, before_last)) = prompt.split_last() else {
            return Ok(None);
        };
        let found = if self.cuts {
            self.entries.longest_common(before_last)
        } else {
            self.entries.longest_prefix(before_last)
        };
        let Some(found) = found.filter(|found| found.common >= LEAST_COMMON) else {
            return Ok(None);
        };
        let cached = found.common;
        // What goes on at an entry's end takes its place, so that no memory is shared that a step
        // would then have to copy. When the generation is over, it comes back longer.
        let sequence = if self.cuts && cached == found.key.len() {
            self.entries.remove(&found.key)
        } else {
            match self.entries.touch(&found.key).copied() {
                Some(entry) => Some(model.call("fork a sequence", |model| model.fork(entry))?),
                None => None,
            }
        };
        let Some(sequence) = sequence else {
            return Ok(None);
        };
        let cut = model.call("cut a sequence", |model| {
            if cached < found.key.len() {
                model.truncate(sequence, cached)?;
            }
            model.sequence_len(sequence)
        });
        match cut {
            Ok(len) if len == cached => Ok(Some(Opened { sequence, cached })),
            Ok(_) => {
                close(model, sequence);
                Ok(None)
            }
            Err(error) => {
                close(model, sequence);
                Err(error)
            }
        }
    }

    /// Keeps a sequence that holds these tokens, or closes it.
    pub(crate) fn keep<M: Model>(
        &mut self,
        model: &mut Guarded<M>,
        mut tokens: Vec<TokenId>,
        sequence: SequenceId,
    ) {
        let len = model.call("measure a sequence", |model| model.sequence_len(sequence));
        // A sequence of more tokens than are known can't be found again.
        let known = len.is_ok_and(|len| {
            tokens.truncate(len);
            tokens.len() == len
        });
        if !self.is_on() || !known || tokens.len() < LEAST_COMMON {
            return close(model, sequence);
        }
        if self.cuts {
            if self.entries.has_extension(&tokens) {
                return close(model, sequence);
            }
            while let Some(shorter) = self.entries.longest_prefix(&tokens) {
                self.entries
                    .remove(&shorter.key)
                    .into_iter()
                    .for_each(|shorter| close(model, shorter));
            }
        }
        if let Some(same) = self.entries.insert(tokens, sequence) {
            close(model, same);
        }
        self.shrink(model);
    }

    /// Keeps a copy of a sequence that goes on, as a place to come back to.
    pub(crate) fn keep_checkpoint<M: Model>(
        &mut self,
        model: &mut Guarded<M>,
        tokens: &[TokenId],
        sequence: SequenceId,
    ) {
        if self.entries.touch(tokens).is_some() {
            return;
        }
        match model.call("fork a sequence", |model| model.fork(sequence)) {
            Ok(copy) => self.keep(model, tokens.to_vec(), copy),
            Err(error) => tracing::debug!(%error, "no checkpoint of a prompt"),
        }
    }

    /// Drops the entry that a request like this one would begin with.
    pub(crate) fn forget<M: Model>(&mut self, model: &mut Guarded<M>, prompt: &[TokenId]) {
        let found = if self.cuts {
            self.entries.longest_common(prompt)
        } else {
            self.entries.longest_prefix(prompt)
        };
        if let Some(sequence) = found.and_then(|found| self.entries.remove(&found.key)) {
            close(model, sequence);
        }
    }

    /// Drops everything; `true` if there was anything.
    pub(crate) fn clear<M: Model>(&mut self, model: &mut Guarded<M>) -> bool {
        let mut any = false;
        for sequence in self.entries.drain() {
            any = true;
            close(model, sequence);
        }
        any
    }

    /// Does what takes memory. If there is none left, the cache gives up its own, and it is tried
    /// once more.
    pub(crate) fn with_room<M: Model, T>(
        &mut self,
        model: &mut Guarded<M>,
        mut work: impl FnMut(&mut Guarded<M>) -> Result<T>,
    ) -> Result<T> {
        match work(model) {
            Err(engine_core::Error::OutOfMemory { purpose, reason }) if self.entries.len() > 0 => {
                tracing::warn!(%purpose, %reason, "out of memory; the prompt cache is emptied");
                self.clear(model);
                model.call("give back memory", Model::trim)?;
                work(model)
            }
            result => result,
        }
    }

    /// What the cache holds.
    pub(crate) fn held<M: Model>(&self, model: &mut Guarded<M>) -> Held {
        let sequences: Vec<_> = self.entries.values().copied().collect();
        let bytes = model.call("measure sequences", |model| {
            Ok(model.kv_bytes_of(&sequences))
        });
        Held {
            prompts: sequences.len() as u32,
            bytes: bytes.unwrap_or(0),
        }
    }

    /// Drops what was used longest ago until the rest keeps to the budget.
    fn shrink<M: Model>(&mut self, model: &mut Guarded<M>) {
        while self.entries.len() > MOST_ENTRIES || self.held(model).bytes > self.budget {
            let Some(oldest) = self.entries.remove_oldest() else {
                return;
            };
            close(model, oldest);
        }
    }
}

/// Closes a sequence that nobody needs any more.
pub(crate) fn close<M: Model>(model: &mut Guarded<M>, sequence: SequenceId) {
    if let Err(error) = model.call("close a sequence", |model| model.close(sequence)) {
        tracing::warn!(%error, sequence = sequence.get(), "closing a sequence failed");
    }
}
