//! Memory for weights: few large pieces, in large pages where the system has them.

use std::{ops::Range, sync::Mutex};

use engine_core::{Error, Result};
use memmap2::MmapMut;

/// Bytes that are asked of the system at a time.
///
/// What is left of a piece when a tensor does not fit takes up address space and no memory, but for
/// the rest of its last large page.
const PIECE: usize = 256 << 20;
/// Every region starts at a multiple of a cache line.
const ALIGNMENT: usize = 64;

/// All weights of a model.
#[derive(Debug)]
pub(crate) struct Arena {
    pieces: Vec<MmapMut>,
    used: u64,
}

/// Some bytes of an [`Arena`].
#[derive(Clone, Debug)]
pub(crate) struct Region {
    piece: usize,
    range: Range<usize>,
}

impl Arena {
    /// The bytes of a region of this arena.
    pub(crate) fn bytes(&self, region: &Region) -> &[u8] {
        self.pieces
            .get(region.piece)
            .and_then(|piece| piece.get(region.range.clone()))
            .unwrap_or(&[])
    }

    /// Bytes that the regions take.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }
}

/// An arena that is being filled, by several threads at once.
#[derive(Debug)]
pub(crate) struct ArenaBuilder(Mutex<Filling>);

#[derive(Debug)]
struct Filling {
    arena: Arena,
    /// Bytes used of the last piece.
    end: usize,
}

impl ArenaBuilder {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Filling {
            arena: Arena {
                pieces: Vec::new(),
                used: 0,
            },
            end: 0,
        }))
    }

    /// Copies bytes into the arena.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no memory left.
    pub(crate) fn store(&self, bytes: &[u8]) -> Result<Region> {
        let mut guard = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let filling = &mut *guard;
        let start = filling.end.next_multiple_of(ALIGNMENT);
        let fits = |piece: &&mut MmapMut| piece.len().saturating_sub(start) >= bytes.len();
        if let Some(piece) = filling.arena.pieces.last_mut().filter(fits) {
            piece[start..start + bytes.len()].copy_from_slice(bytes);
            filling.end = start + bytes.len();
        } else {
            let mut piece = ask(bytes.len().max(PIECE))?;
            piece[..bytes.len()].copy_from_slice(bytes);
            filling.arena.pieces.push(piece);
            filling.end = bytes.len();
        }
        filling.arena.used += bytes.len() as u64;
        let end = filling.end;
        Ok(Region {
            piece: filling.arena.pieces.len() - 1,
            range: end - bytes.len()..end,
        })
    }

    /// The finished arena.
    pub(crate) fn finish(self) -> Arena {
        self.0
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .arena
    }
}

/// Zeroed bytes for a while: the system has them back as soon as they are dropped, which an allocator
/// would put off.
pub(crate) fn temporary(bytes: usize) -> Result<MmapMut> {
    MmapMut::map_anon(bytes.max(1)).map_err(|error| Error::OutOfMemory {
        purpose: "the weights".to_owned(),
        reason: format!("the system refuses {} MiB more: {error}", bytes >> 20),
    })
}

/// Zeroed memory that takes up room only where it is written to.
fn ask(bytes: usize) -> Result<MmapMut> {
    let map = temporary(bytes)?;
    #[cfg(target_os = "linux")]
    {
        // Only faster where it works.
        let _ = map.advise(memmap2::Advice::HugePage);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_hold_what_was_stored_and_are_aligned() {
        let builder = ArenaBuilder::new();
        let stored: Vec<_> = (1..50usize)
            .map(|n| {
                let bytes = vec![n as u8; n * 37];
                (builder.store(&bytes).unwrap(), bytes)
            })
            .collect();
        let arena = builder.finish();
        for (region, bytes) in &stored {
            assert_eq!(arena.bytes(region), bytes);
            assert_eq!(arena.bytes(region).as_ptr().addr() % ALIGNMENT, 0);
        }
        let total: usize = stored.iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(arena.used(), total as u64);
    }
}
