//! The digests by which content is known, and computing them.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::names::is_hex;

/// What a file's content must hash to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Digest {
    /// SHA-256 of the content, as git-LFS has it.
    Sha256([u8; 32]),
    /// SHA-1 of `blob <length>\0` and the content, as git has it.
    GitSha1([u8; 20]),
}

impl Digest {
    /// Reads 64 hexadecimal digits as a SHA-256 and 40 as a git SHA-1; anything else is no digest.
    pub fn from_hex(hex: &str) -> Option<Self> {
        if !hex.bytes().all(is_hex) {
            return None;
        }
        match hex.len() {
            64 => bytes_of(hex).map(Self::Sha256),
            40 => bytes_of(hex).map(Self::GitSha1),
            _ => None,
        }
    }

    /// The digest in hexadecimal digits, lower case.
    pub fn hex(&self) -> String {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::GitSha1(bytes) => bytes,
        };
        bytes
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// A computation of the same kind, for content of `size` bytes.
    pub(crate) fn hasher(&self, size: u64) -> ContentHasher {
        match self {
            Self::Sha256(_) => ContentHasher::Sha256(Sha256::new()),
            Self::GitSha1(_) => {
                let mut hasher = Sha1::new();
                hasher.update(format!("blob {size}\0"));
                ContentHasher::GitSha1(hasher)
            }
        }
    }
}

fn bytes_of<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Sha256(_) => "sha256",
            Self::GitSha1(_) => "git-sha1",
        };
        write!(f, "{kind}:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A digest that is being computed.
#[derive(Debug, Clone)]
pub(crate) enum ContentHasher {
    Sha256(Sha256),
    GitSha1(Sha1),
}

impl ContentHasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitSha1(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(hasher.finalize().into()),
            Self::GitSha1(hasher) => Digest::GitSha1(hasher.finalize().into()),
        }
    }
}
