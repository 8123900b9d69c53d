//! The journal of a partial file: which bytes it holds, with a checksum of each record.
//!
//! A text file: a line of JSON that says whose partial file it is and of what, then a line for each
//! piece that was written. Every line ends with the CRC-32 of what precedes it, so that a line which
//! a crash has torn is known for it. A record is written after its bytes, and its checksum tells
//! after a power failure whether the bytes reached the disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    ops::Range,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::cache::Owner;

const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: u32,
    pub(crate) blob: String,
    pub(crate) owner: Owner,
}

impl Header {
    pub(crate) fn new(blob: &str) -> Self {
        Self {
            format: FORMAT,
            blob: blob.to_owned(),
            owner: Owner::this_process(),
        }
    }
}

/// A piece of the file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) range: Range<u64>,
    pub(crate) crc: u32,
}

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) header: Header,
    /// The file's size, if it is known.
    pub(crate) size: Option<u64>,
    pub(crate) records: Vec<Record>,
}

/// A journal that is being written.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Writes a new journal; there must be none of this name.
    pub(crate) fn create(path: &Path, contents: &Contents) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        let mut journal = Self { file };
        let header = serde_json::to_string(&contents.header)?;
        let mut text = checked(&header);
        if let Some(size) = contents.size {
            text += &checked(&size_line(size));
        }
        for record in &contents.records {
            text += &checked(&record_line(record));
        }
        journal.file.write_all(text.as_bytes())?;
        Ok(journal)
    }

    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        self.write(&record_line(record))
    }

    /// Notes the file's size, which was not known before.
    pub(crate) fn append_size(&mut self, size: u64) -> io::Result<()> {
        self.write(&size_line(size))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let line = checked(line);
        self.file.write_all(line.as_bytes()).inspect_err(|_| {
            // Ends what may have been written of it, so that the next line stands alone.
            let _ = self.file.write_all(b"\n");
        })
    }
}

fn record_line(record: &Record) -> String {
    let Range { start, end } = record.range;
    format!("have {start} {end} {:08x}", record.crc)
}

fn size_line(size: u64) -> String {
    format!("size {size}")
}

fn checked(line: &str) -> String {
    format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()))
}

/// Reads a journal. `None` if it does not begin with a header that is known.
pub(crate) fn read(text: &str) -> Option<Contents> {
    // What has no line end is torn, even if its checksum happens to fit.
    let mut lines = text.split_inclusive('\n').filter_map(sound);
    let header: Header = serde_json::from_str(lines.next()?).ok()?;
    if header.format != FORMAT {
        return None;
    }
    let mut contents = Contents {
        header,
        size: None,
        records: Vec::new(),
    };
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["size", size] => contents.size = size.parse().ok(),
            ["have", start, end, crc] => contents.records.extend(record(start, end, crc)),
            _ => {}
        }
    }
    Some(contents)
}

/// The line without its checksum, if that is right.
fn sound(line: &str) -> Option<&str> {
    let (line, crc) = line.strip_suffix('\n')?.rsplit_once(' ')?;
    (u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(line.as_bytes())).then_some(line)
}

fn record(start: &str, end: &str, crc: &str) -> Option<Record> {
    let range = start.parse().ok()?..end.parse().ok()?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    (range.start < range.end).then_some(Record { range, crc })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents(records: Vec<(u64, u64, u32)>) -> Contents {
        Contents {
            header: Header::new("abc"),
            size: Some(99),
            records: records
                .into_iter()
                .map(|(start, length, crc)| Record {
                    range: start..start + length,
                    crc,
                })
                .collect(),
        }
    }

    fn written(contents: &Contents) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::create(&path, contents).unwrap();
        std::fs::read(path).unwrap()
    }

    proptest! {
        #[test]
        fn cut_anywhere_it_reads_as_a_beginning_of_what_was_written(
            records in prop::collection::vec((0u64..1 << 40, 1u64..1 << 30, any::<u32>()), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let contents = contents(records);
            let bytes = written(&contents);
            prop_assert_eq!(read(std::str::from_utf8(&bytes).unwrap()), Some(contents.clone()));
            let torn = &bytes[..cut.index(bytes.len())];
            if let Some(read) = read(std::str::from_utf8(torn).unwrap()) {
                prop_assert_eq!(&read.header, &contents.header);
                prop_assert!(contents.records.starts_with(&read.records));
            }
        }

        #[test]
        fn a_changed_byte_loses_its_line_only(
            records in prop::collection::vec((0u64..1 << 40, 1u64..1 << 30, any::<u32>()), 1..20),
            at in any::<prop::sample::Index>(),
            to in b' '..b'~',
        ) {
            let contents = contents(records);
            let mut bytes = written(&contents);
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != b'\n' && !bytes[at].eq_ignore_ascii_case(&to));
            bytes[at] = to;
            if let Some(read) = read(std::str::from_utf8(&bytes).unwrap()) {
                let kept = read.records.iter().filter(|r| contents.records.contains(r)).count();
                prop_assert_eq!(kept, read.records.len());
                prop_assert!(kept + 1 >= contents.records.len());
            }
        }
    }
}
