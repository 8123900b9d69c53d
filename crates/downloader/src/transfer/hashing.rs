//! Computing a file's digest while the file grows.
//!
//! Only what has been written successfully is hashed. It is read back from the disk, where it is
//! still in the page cache, unless it came in order and is still in memory.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::partial::Partial;
use crate::{Digest, Error};

const READ_SIZE: usize = 256 << 10;

/// A computation that follows a partial file. Dropping it ends the computation.
#[derive(Debug)]
pub(crate) struct Following {
    partial: Arc<Partial>,
    task: Option<JoinHandle<Result<Option<Digest>, Error>>>,
}

impl Following {
    /// Begins to hash in the way of `expected`.
    pub(crate) fn start(partial: &Arc<Partial>, expected: Digest) -> Self {
        let follower = Follower::of(partial);
        let task = tokio::task::spawn_blocking(move || follow(&follower.0, expected));
        Self {
            partial: Arc::clone(partial),
            task: Some(task),
        }
    }

    /// The digest of the whole file. Call it when every byte is there.
    pub(crate) async fn finish(mut self) -> Result<Option<Digest>, Error> {
        match self.task.take() {
            Some(task) => task.await.map_err(|_| Error::Interrupted)?,
            None => Ok(None),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.task.is_some() {
            self.partial.close();
        }
    }
}

/// Tells the partial file that it is followed, for as long as it lives.
struct Follower(Arc<Partial>);

impl Follower {
    fn of(partial: &Arc<Partial>) -> Self {
        partial.set_followed(true);
        Self(Arc::clone(partial))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.set_followed(false);
    }
}

/// `None` if the file was closed before it was full.
fn follow(partial: &Partial, expected: Digest) -> Result<Option<Digest>, Error> {
    // Git's digest begins with the size, so that has to be known first.
    let mut size = partial.size();
    let mut seen = 0;
    while size.is_none() {
        let grown = partial.wait_for_growth(seen);
        if grown.closed {
            return Ok(None);
        }
        seen = grown.prefix;
        size = grown.size;
    }
    let size = size.unwrap_or_default();
    let mut hasher = expected.hasher(size);
    let mut buffer = vec![0; READ_SIZE];
    let mut at = 0;
    while at < size {
        let grown = partial.wait_for_growth(at);
        if grown.prefix <= at {
            return Ok(None);
        }
        if !grown.pieces.is_empty() {
            for piece in grown.pieces {
                hasher.update(&piece);
                at += piece.len() as u64;
            }
            continue;
        }
        let end = grown.prefix.min(size);
        while at < end {
            let most = (end - at).min(READ_SIZE as u64) as usize;
            let read = partial.read_at(buffer.get_mut(..most).unwrap_or_default(), at)?;
            if read == 0 {
                return Ok(None);
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            at += read as u64;
        }
    }
    Ok(Some(hasher.finish()))
}
