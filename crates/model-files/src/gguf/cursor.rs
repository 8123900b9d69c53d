//! Reading little-endian numbers and strings from bytes that may end anywhere.

use super::header::GgufError;

/// A position in the file's bytes; every read is checked against the end.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    pub(super) const fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> GgufError {
        GgufError {
            offset: self.position as u64,
            reason: reason.into(),
        }
    }

    pub(super) fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], GgufError> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..count).ok_or_else(|| {
            self.error(format!(
                "the file ends inside {what}: {count} bytes wanted, {} left",
                rest.len()
            ))
        })?;
        self.position += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N, what)?);
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of things that take at least `min_bytes` each, so that it can be believed.
    pub(super) fn count(&mut self, min_bytes: usize, what: &str) -> Result<usize, GgufError> {
        let at = self.position as u64;
        let count = self.u64(what)?;
        let most = self.remaining() / min_bytes.max(1);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= most)
            .ok_or_else(|| GgufError {
                offset: at,
                reason: format!(
                    "{what} is {count}, but the rest of the file can hold at most {most}"
                ),
            })
    }

    pub(super) fn string(&mut self, max_bytes: usize, what: &str) -> Result<&'a str, GgufError> {
        let at = self.position as u64;
        let length = self.count(1, what)?;
        if length > max_bytes {
            return Err(GgufError {
                offset: at,
                reason: format!("{what} has {length} bytes, and at most {max_bytes} are allowed"),
            });
        }
        std::str::from_utf8(self.take(length, what)?).map_err(|error| GgufError {
            offset: at,
            reason: format!("{what} is not UTF-8 text: {error}"),
        })
    }
}
