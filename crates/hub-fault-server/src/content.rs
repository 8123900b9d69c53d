//! What files hold: real bytes, or many that take no memory.

use std::sync::{Arc, OnceLock};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::random::Random;

/// The length after which noise repeats: no multiple of a part's size, so that misplaced parts show.
const NOISE_PERIOD: usize = 1_000_003;

/// The content of a file.
#[derive(Debug, Clone)]
pub struct Content {
    kind: Kind,
    digests: Arc<OnceLock<(String, String)>>,
}

#[derive(Debug, Clone)]
enum Kind {
    Bytes(Arc<[u8]>),
    Zeros(u64),
    Noise { block: Arc<[u8]>, length: u64 },
}

impl Content {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Bytes(bytes.into().into()))
    }

    /// So many zeros.
    pub fn zeros(length: u64) -> Self {
        Self::new(Kind::Zeros(length))
    }

    /// So many random bytes, the same for the same seed.
    pub fn noise(seed: u64, length: u64) -> Self {
        let mut random = Random::new(seed);
        let wanted = NOISE_PERIOD.min(length as usize);
        let block: Vec<u8> = std::iter::repeat_with(|| random.next().to_le_bytes())
            .take(wanted.div_ceil(8))
            .flatten()
            .take(wanted)
            .collect();
        Self::new(Kind::Noise {
            block: block.into(),
            length,
        })
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            digests: Arc::default(),
        }
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match &self.kind {
            Kind::Bytes(bytes) => bytes.len() as u64,
            Kind::Zeros(length) | Kind::Noise { length, .. } => *length,
        }
    }

    /// Fills a buffer from an offset on; returns how many bytes there were.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = self.length().saturating_sub(offset);
        let wanted = left.min(buffer.len() as u64) as usize;
        let Some(mut rest) = buffer.get_mut(..wanted) else {
            return 0;
        };
        match &self.kind {
            Kind::Bytes(bytes) => {
                copy_from(bytes, offset as usize, rest);
            }
            Kind::Zeros(_) => rest.fill(0),
            Kind::Noise { block, .. } => {
                let mut at = (offset % block.len() as u64) as usize;
                while !rest.is_empty() {
                    let copied = copy_from(block, at, rest);
                    rest = rest.get_mut(copied..).unwrap_or_default();
                    at = 0;
                }
            }
        }
        wanted
    }

    /// All of it, for comparison.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; self.length() as usize];
        self.read(0, &mut all);
        all
    }

    /// Its SHA-256, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        self.digests().0.clone()
    }

    /// Its SHA-1 as a git blob, in hexadecimal digits.
    pub fn git_sha1(&self) -> String {
        self.digests().1.clone()
    }

    fn digests(&self) -> &(String, String) {
        self.digests.get_or_init(|| {
            let mut sha256 = Sha256::new();
            let mut sha1 = Sha1::new();
            sha1.update(format!("blob {}\0", self.length()));
            // Git blobs are small; hashing gigabytes twice would only take time.
            let small = self.length() < 64 << 20;
            let mut buffer = vec![0; 1 << 18];
            let mut at = 0;
            loop {
                let read = self.read(at, &mut buffer);
                let read = buffer.get(..read).unwrap_or_default();
                if read.is_empty() {
                    break;
                }
                sha256.update(read);
                if small {
                    sha1.update(read);
                }
                at += read.len() as u64;
            }
            (hex(&sha256.finalize()), hex(&sha1.finalize()))
        })
    }
}

/// Copies from `source` into the beginning of `target`; returns how many bytes.
fn copy_from(source: &[u8], at: usize, target: &mut [u8]) -> usize {
    let source = source.get(at..).unwrap_or_default();
    let length = source.len().min(target.len());
    if let (Some(to), Some(from)) = (target.get_mut(..length), source.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
