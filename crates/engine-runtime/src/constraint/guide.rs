//! A mask for the next token, found while the model computes.
//!
//! A mask depends on nothing but the tokens before it, and takes up to a millisecond where a grammar
//! allows much of the vocabulary. So each token that has been taken is announced to threads that
//! find the mask for the next one. Whoever needs a mask that none of them has begun finds it itself,
//! and waits for one that has been begun: the threads change when a mask is found, and never what it
//! holds.

#[cfg(test)]
mod tests;

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use engine_core::{Result, TokenId};

use super::Follower;

/// So many have the masks of a batch long before its step is over.
const MAX_THREADS: usize = 8;

/// Follows one answer, and has its masks found ahead.
pub(crate) struct Guide {
    answer: Arc<Answer>,
    finders: Arc<Finders>,
}

/// What a thread finds a mask for.
struct Answer {
    follower: Mutex<Follower>,
    /// Whether the threads have been told of it and none has come to it.
    is_queued: AtomicBool,
}

impl Guide {
    pub(super) fn new(follower: Follower, finders: Arc<Finders>) -> Self {
        let answer = Answer {
            follower: Mutex::new(follower),
            is_queued: AtomicBool::new(false),
        };
        Self {
            answer: Arc::new(answer),
            finders,
        }
    }

    /// Calls `choose` with the mask for the next token.
    ///
    /// # Errors
    /// As [`Follower::mask`], and those of `choose`.
    pub(crate) fn with_mask<T>(&self, choose: impl FnOnce(&[u32]) -> Result<T>) -> Result<T> {
        choose(self.answer.follower().mask()?)
    }

    /// As [`Follower::take`].
    pub(crate) fn take(&self, token: TokenId) -> Result<bool> {
        self.answer.follower().take(token)
    }

    /// Lets the mask for the next token be found on another thread.
    pub(crate) fn look_ahead(&self) {
        self.finders.tell(&self.answer);
    }
}

impl Answer {
    fn follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads of one model that find masks. They end when its vocabulary and all guides have gone.
pub(super) struct Finders {
    /// An answer that has ended is gone when a thread comes to it.
    queue: Option<Sender<Weak<Answer>>>,
}

impl Finders {
    /// Starts one thread for two processors. Without any, masks are found when they are needed.
    pub(super) fn start() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads((processors / 2).min(MAX_THREADS))
    }

    fn with_threads(count: usize) -> Self {
        let (queue, answers) = mpsc::channel();
        let answers = Arc::new(Mutex::new(answers));
        let started = (0..count).filter(|_| {
            let answers = Arc::clone(&answers);
            let thread = thread::Builder::new().name("mlxengine-masks".to_owned());
            thread.spawn(move || find_masks(&answers)).is_ok()
        });
        Self {
            queue: (started.count() > 0).then_some(queue),
        }
    }

    fn tell(&self, answer: &Arc<Answer>) {
        if let Some(queue) = &self.queue
            && !answer.is_queued.swap(true, Ordering::AcqRel)
        {
            // If nobody receives it, the mask is found when it is needed.
            let _ = queue.send(Arc::downgrade(answer));
        }
    }
}

/// The life of a thread.
fn find_masks(answers: &Mutex<Receiver<Weak<Answer>>>) {
    loop {
        let next = answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(answer) = next else {
            return;
        };
        if let Some(answer) = answer.upgrade() {
            answer.is_queued.store(false, Ordering::Release);
            match answer.follower.try_lock() {
                Ok(mut follower) => follower.find_mask(),
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().find_mask(),
                // Whoever holds it finds the mask or uses it: others wait for theirs.
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }
}
