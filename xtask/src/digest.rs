//! SHA-256 of files and texts, in lower-case hexadecimal.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Error;

/// The digest of `texts`, one after the other.
pub(crate) fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        // With the length, so that moving text from one to the next changes the digest.
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hexadecimal(&hasher.finalize())
}

/// The digest of a file's contents.
pub(crate) fn of_file(path: &Path) -> Result<String, Error> {
    let failed = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Fails unless the file has the expected digest.
pub(crate) fn check_file(path: &Path, expected: &str) -> Result<(), Error> {
    let got = of_file(path)?;
    if got == expected {
        return Ok(());
    }
    Err(Error::Digest {
        path: path.to_owned(),
        got,
        expected: expected.to_owned(),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_other_contents_is_refused_with_both_digests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check_file(&path, right).unwrap();
        let wrong = "0".repeat(64);
        let message = check_file(&path, &wrong).unwrap_err().to_string();
        assert!(
            message.contains(right) && message.contains(&wrong),
            "{message}"
        );
    }

    #[test]
    fn the_border_between_texts_counts() {
        assert_ne!(of_texts(["ab", "c"]), of_texts(["a", "bc"]));
    }
}
