//! Memory for bytes between their arrival and the disk, used again and again.
//!
//! Fresh memory costs the operating system a page fault for every 4 KiB, which at a gigabyte a
//! second is as much work as receiving the bytes. So what arrives is copied into memory that is
//! warm, and the connection's own buffer is free at once.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that nobody uses at the moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// More than these are given back to the operating system.
const MOST_SPARE_BYTES: usize = 8 << 20;

impl Buffers {
    /// An empty buffer that can take `capacity` bytes without growing.
    pub(crate) fn take(&self, capacity: usize) -> Vec<u8> {
        let spare = {
            let mut spare = self.spare();
            let fits = spare
                .iter()
                .position(|buffer| buffer.capacity() >= capacity);
            fits.map(|at| spare.swap_remove(at))
        };
        spare.unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    /// The buffer's bytes; its memory comes back when the last clone of them is dropped.
    pub(crate) fn share(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Shared {
            bytes,
            home: self.clone(),
        })
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.spare();
        let kept: usize = spare.iter().map(Vec::capacity).sum();
        if kept + buffer.capacity() <= MOST_SPARE_BYTES {
            spare.push(buffer);
        }
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Shared {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_its_bytes_are_dropped() {
        let buffers = Buffers::default();
        let mut first = buffers.take(1000);
        first.extend([7; 10]);
        let at = first.as_ptr();
        let shared = buffers.share(first);
        let part = shared.slice(2..4);
        drop(shared);
        let second = buffers.take(1000);
        assert_ne!(second.as_ptr(), at, "still in use");
        assert_eq!(part, [7, 7].as_slice());
        drop(part);
        let again = buffers.take(1000);
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..10)
            .map(|_| buffers.share(buffers.take(2 << 20)))
            .collect();
        drop(many);
        let kept: usize = buffers.spare().iter().map(Vec::capacity).sum();
        assert!((1..=MOST_SPARE_BYTES).contains(&kept), "{kept}");
    }
}
