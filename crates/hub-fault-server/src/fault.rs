//! What can go wrong on purpose, and when.

use std::collections::{HashMap, VecDeque};

use crate::random::Random;

/// At which requests a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Requests to `/api/`; their path is the URL's.
    Api,
    /// Questions where a file is: `HEAD /…/resolve/…`, and a `GET` that is answered by a redirect.
    Head,
    /// Requests that bring a file's bytes, from either host.
    Body,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut {
        /// Bytes of the body.
        after: u64,
        /// By a reset, which takes along what has not been read; else by a plain end.
        reset: bool,
    },
    /// Nothing more comes after so many bytes of the body, until the client gives up.
    Stall {
        /// Bytes of the body.
        after: u64,
    },
    /// After so many bytes of the body the rest comes slowly.
    Slow {
        /// Bytes of the body.
        after: u64,
        /// How slowly.
        bytes_per_second: u64,
    },
    /// A status in place of an answer.
    Status {
        /// The status.
        status: u16,
        /// Headers, such as `Retry-After`.
        headers: Vec<(String, String)>,
    },
    /// A part that begins one byte later than asked.
    WrongRange,
    /// The whole file although a part was asked for.
    IgnoreRange,
    /// 416, whatever was asked for.
    NotSatisfiable,
    /// The byte at this offset of the body is another; the size is right.
    FlipByte {
        /// The offset in the body.
        at: u64,
    },
    /// A compressed body.
    Gzip,
    /// 403, as from a host whose signed URL has expired.
    Expired,
    /// A length that promises more bytes than come.
    LongLength {
        /// How many more.
        by: u64,
    },
    /// A length, and a body, of fewer bytes than the file has.
    ShortLength {
        /// How many fewer.
        by: u64,
    },
    /// Another ETag.
    OtherEtag {
        /// Its value, without quotes.
        etag: String,
    },
}

impl Fault {
    /// A status without further headers.
    pub fn status(status: u16) -> Self {
        Self::Status {
            status,
            headers: Vec::new(),
        }
    }

    /// 429 with `Retry-After`.
    pub fn too_many_requests(seconds: u64) -> Self {
        Self::Status {
            status: 429,
            headers: vec![("Retry-After".to_owned(), seconds.to_string())],
        }
    }
}

/// Faults at random, the same for the same seed and the same order of requests.
#[derive(Debug, Clone)]
pub struct Chaos {
    random: Random,
    percent: u64,
    left: usize,
    stalls: bool,
}

impl Chaos {
    /// Lets this percentage of requests fail, until `most` faults have struck.
    pub fn new(seed: u64, percent: u64, most: usize) -> Self {
        Self {
            random: Random::new(seed),
            percent,
            left: most,
            stalls: false,
        }
    }

    /// Lets connections stall too, which costs a client its patience each time.
    #[must_use]
    pub fn with_stalls(mut self) -> Self {
        self.stalls = true;
        self
    }

    fn strike(&mut self, stage: Stage, length: u64) -> Option<Fault> {
        if self.left == 0 || stage == Stage::Api || self.random.below(100) >= self.percent {
            return None;
        }
        self.left -= 1;
        let status = [408, 429, 500, 502, 503, 504]
            .get(self.random.below(6) as usize)
            .copied()
            .unwrap_or(500);
        if stage == Stage::Head {
            return Some(match self.random.below(4) {
                0 => Fault::Cut {
                    after: 0,
                    reset: true,
                },
                _ => Fault::status(status),
            });
        }
        let after = self.random.below(length + 1);
        Some(match self.random.below(if self.stalls { 14 } else { 13 }) {
            0..=3 => Fault::Cut {
                after,
                reset: self.random.below(2) == 0,
            },
            4 => Fault::status(status),
            5 => Fault::WrongRange,
            6 => Fault::IgnoreRange,
            7 => Fault::FlipByte { at: after },
            8 => Fault::Gzip,
            9 => Fault::Expired,
            10 => Fault::LongLength { by: 1 + after },
            11 => Fault::ShortLength { by: 1 + after / 2 },
            12 => Fault::OtherEtag {
                etag: format!("{:016x}", self.random.next()),
            },
            _ => Fault::Stall { after },
        })
    }
}

/// All faults that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    lines: HashMap<(Stage, String), VecDeque<Option<Fault>>>,
    chaos: Option<Chaos>,
}

impl Script {
    pub(crate) fn of(chaos: Option<Chaos>) -> Self {
        Self {
            chaos,
            ..Self::default()
        }
    }

    pub(crate) fn add(
        &mut self,
        stage: Stage,
        path: &str,
        faults: impl IntoIterator<Item = Option<Fault>>,
    ) {
        let line = self.lines.entry((stage, path.to_owned())).or_default();
        line.extend(faults);
    }

    /// What happens to the next request for a path; `length` is how long its body would be.
    pub(crate) fn next(&mut self, stage: Stage, path: &str, length: u64) -> Option<Fault> {
        if let Some(line) = self.lines.get_mut(&(stage, path.to_owned()))
            && let Some(fault) = line.pop_front()
        {
            return fault;
        }
        self.chaos.as_mut()?.strike(stage, length)
    }
}
