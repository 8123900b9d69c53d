//! Sequences of generations that are over, for requests that begin in the same way.
//!
//! A request is a list of tokens, and so is what a sequence of the model holds. The longest
//! beginning that the two have in common need not be read again: a copy of the sequence, which
//! shares its memory, is cut there and goes on.

mod disk;
mod fingerprint;
mod index;

use engine_core::{Model, Result, SequenceId, TokenId};

use self::index::{Match, PrefixIndex};
use crate::engine::Guarded;

pub(crate) use disk::{load, save};

/// Entries at most, however little memory they take: each may cost time at every look.
const MOST_ENTRIES: usize = 1024;
/// Fewer tokens in common are read again: every prompt begins with a token or two of the template.
const LEAST_COMMON: usize = 4;
/// The budget where none was asked for.
const LEAST_BUDGET: u64 = 512 << 20;

/// The cached sequences of one model.
///
/// An entry that another one extends, and that can't be cut further back than this one, is of no use
/// and goes.
/// One that can't be cut serves only requests that begin with all of it.
#[derive(Debug)]
pub(crate) struct PromptCache {
    entries: PrefixIndex<Kept>,
    budget: u64,
    cuts: bool,
    /// What tells the model from others, once it has been asked for.
    fingerprint: Option<String>,
}

/// A sequence in the cache.
#[derive(Clone, Copy, Debug)]
struct Kept {
    sequence: SequenceId,
    /// See [`Model::earliest_cut`].
    earliest_cut: usize,
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
            fingerprint: None,
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
        let Some(found) = self.find(before_last) else {
            return Ok(None);
        };
        let cached = found.common;
        // What goes on at an entry's end takes its place, so that no memory is shared that a step
        // would then have to copy. When the generation is over, it comes back longer.
        let sequence = if self.cuts && cached == found.key.len() {
            self.entries.remove(&found.key).map(|kept| kept.sequence)
        } else {
            match self.entries.touch(&found.key).copied() {
                Some(kept) => {
                    let fork = |model: &mut M| model.fork(kept.sequence);
                    Some(model.call("fork a sequence", fork)?)
                }
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

    /// The entry that serves the longest beginning of `tokens`: of those with the most in common,
    /// some may have given up what is there.
    fn find(&self, tokens: &[TokenId]) -> Option<Match> {
        let serves = |kept: &Kept, common: usize| kept.earliest_cut <= common;
        self.entries.longest_common(tokens, LEAST_COMMON, serves)
    }

    /// Keeps a sequence that holds these tokens, or closes it.
    pub(crate) fn keep<M: Model>(
        &mut self,
        model: &mut Guarded<M>,
        mut tokens: Vec<TokenId>,
        sequence: SequenceId,
    ) {
        let measured = model.call("measure a sequence", |model| {
            let len = model.sequence_len(sequence)?;
            Ok((len, model.earliest_cut(sequence)?))
        });
        // A sequence of more tokens than are known can't be found again.
        let earliest_cut = measured.ok().and_then(|(len, earliest_cut)| {
            tokens.truncate(len);
            (tokens.len() == len).then_some(earliest_cut)
        });
        let Some(earliest_cut) =
            earliest_cut.filter(|_| self.is_on() && tokens.len() >= LEAST_COMMON)
        else {
            return close(model, sequence);
        };
        let serves_as_much = |longer: &Kept| {
            longer.earliest_cut <= earliest_cut && longer.earliest_cut <= tokens.len()
        };
        if self.entries.extension(&tokens).is_some_and(serves_as_much) {
            return close(model, sequence);
        }
        let mut rest = &tokens[..];
        while let Some(shorter) = self.entries.longest_prefix(rest) {
            let kept = self.entries.get(&shorter.key);
            let is_served =
                |kept: &Kept| earliest_cut <= kept.earliest_cut && earliest_cut <= shorter.common;
            if !kept.is_some_and(is_served) {
                break;
            }
            rest = &tokens[..shorter.common - 1];
            if let Some(shorter) = self.entries.remove(&shorter.key) {
                close(model, shorter.sequence);
            }
        }
        let kept = Kept {
            sequence,
            earliest_cut,
        };
        if let Some(same) = self.entries.insert(tokens, kept) {
            close(model, same.sequence);
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
        let found = self.find(prompt);
        if let Some(kept) = found.and_then(|found| self.entries.remove(&found.key)) {
            close(model, kept.sequence);
        }
    }

    /// Drops everything; `true` if there was anything.
    pub(crate) fn clear<M: Model>(&mut self, model: &mut Guarded<M>) -> bool {
        let mut any = false;
        for kept in self.entries.drain() {
            any = true;
            close(model, kept.sequence);
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

    fn fingerprint<M: Model>(&mut self, model: &mut Guarded<M>) -> Result<String> {
        let known = match self.fingerprint.take() {
            Some(known) => known,
            None => self.with_little_room(model, fingerprint::fingerprint)?,
        };
        Ok(self.fingerprint.insert(known).clone())
    }

    /// Does what takes little memory. As long as there is none left, the cache gives up what was used
    /// longest ago, but for one entry.
    fn with_little_room<M: Model, T>(
        &mut self,
        model: &mut Guarded<M>,
        mut work: impl FnMut(&mut Guarded<M>) -> Result<T>,
    ) -> Result<T> {
        loop {
            let result = work(model);
            let Err(engine_core::Error::OutOfMemory { purpose, reason }) = &result else {
                return result;
            };
            if self.entries.len() <= 1 {
                return result;
            }
            let Some(oldest) = self.entries.remove_oldest() else {
                return result;
            };
            tracing::warn!(%purpose, %reason, "out of memory; the prompt cache gives some up");
            close(model, oldest.sequence);
            model.call("give back memory", Model::trim)?;
        }
    }

    /// What the cache holds.
    pub(crate) fn held<M: Model>(&self, model: &mut Guarded<M>) -> Held {
        let sequences: Vec<_> = self.entries.values().map(|kept| kept.sequence).collect();
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
            close(model, oldest.sequence);
        }
    }
}

/// Whether a sequence can't be cut anywhere by now. Until then a copy at the end of a piece serves
/// the messages that end within the piece, and the piece need not be divided for them.
pub(crate) fn gives_up<M: Model>(model: &mut Guarded<M>, sequence: SequenceId) -> bool {
    let earliest = model.call("measure a sequence", |model| model.earliest_cut(sequence));
    earliest.is_ok_and(|earliest| earliest > 0)
}

/// Closes a sequence that nobody needs any more.
pub(crate) fn close<M: Model>(model: &mut Guarded<M>, sequence: SequenceId) {
    if let Err(error) = model.call("close a sequence", |model| model.close(sequence)) {
        tracing::warn!(%error, sequence = sequence.get(), "closing a sequence failed");
    }
}
