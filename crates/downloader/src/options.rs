//! How a downloader goes about its work.

use std::{path::PathBuf, time::Duration};

use crate::{Downloader, Error};

/// Settings of a [`Downloader`], checked when it is built.
#[derive(Debug, Clone)]
pub struct DownloaderBuilder {
    pub(crate) cache: PathBuf,
    pub(crate) options: Options,
}

/// The settings themselves.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) files: usize,
    pub(crate) connections: usize,
    pub(crate) part_size: u64,
    pub(crate) attempts: usize,
    pub(crate) ramp: Duration,
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) slow_window: Duration,
    pub(crate) lock_patience: Duration,
    pub(crate) reserve: u64,
    pub(crate) symlinks: bool,
    pub(crate) durable: bool,
    pub(crate) proxies: bool,
    pub(crate) user_agent: String,
}

impl DownloaderBuilder {
    pub(crate) fn new(cache: PathBuf) -> Self {
        Self {
            cache,
            options: Options {
                files: 8,
                connections: 8,
                part_size: 8 << 20,
                attempts: 6,
                ramp: Duration::from_millis(20),
                first_delay: Duration::from_millis(500),
                longest_delay: Duration::from_secs(30),
                connect_timeout: Duration::from_secs(10),
                stall_timeout: Duration::from_secs(30),
                slow_window: Duration::from_secs(15),
                lock_patience: Duration::from_mins(2),
                reserve: 16 << 20,
                symlinks: true,
                durable: true,
                proxies: true,
                user_agent: concat!("mlxengine-downloader/", env!("CARGO_PKG_VERSION")).to_owned(),
            },
        }
    }

    /// How many files are fetched at once, 1 to 64; 8 unless set.
    #[must_use]
    pub fn files(mut self, files: usize) -> Self {
        self.options.files = files;
        self
    }

    /// How many connections are open at once, over all files, 1 to 64; 8 unless set.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.options.connections = connections;
        self
    }

    /// The bytes that one request asks for, 4 KiB to 1 GiB; 8 MiB unless set.
    ///
    /// It is also the most of what the process had received that comes twice after it was killed, all
    /// connections of a file together: each writes down what it has after its share of it.
    #[must_use]
    pub fn part_size(mut self, bytes: u64) -> Self {
        self.options.part_size = bytes;
        self
    }

    /// The time between the first connections of a file; 20 milliseconds unless set.
    ///
    /// A further one is opened only if the ones before bring less than 200 MB/s each: beyond that,
    /// more of them would only make this machine busier. With a time of nothing all open at once.
    #[must_use]
    pub fn ramp(mut self, step: Duration) -> Self {
        self.options.ramp = step;
        self
    }

    /// How often a request is tried before the file fails, counted anew whenever a byte has come; 1 to
    /// 100, 6 unless set.
    #[must_use]
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.options.attempts = attempts;
        self
    }

    /// The first and the longest time between two tries; they double from one to the other, with
    /// random variation. Half a second and 30 seconds unless set. A server's `Retry-After` counts more.
    #[must_use]
    pub fn delays(mut self, first: Duration, longest: Duration) -> Self {
        self.options.first_delay = first;
        self.options.longest_delay = longest;
        self
    }

    /// How long making a connection may take; 10 seconds unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long a connection may be silent before it is given up; 30 seconds unless set.
    #[must_use]
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.options.stall_timeout = timeout;
        self
    }

    /// How long a connection may bring less than a tenth of what is usual for its file before another
    /// one takes its place; 15 seconds unless set.
    ///
    /// Before anything is usual, 1 KiB a second is too little. Each time only half as much is
    /// expected from then on.
    #[must_use]
    pub fn slow_window(mut self, window: Duration) -> Self {
        self.options.slow_window = window;
        self
    }

    /// How long another process that holds a file's lock may make no progress; 2 minutes unless set.
    ///
    /// After that the file is fetched without the lock, into a partial file of its own.
    #[must_use]
    pub fn lock_patience(mut self, patience: Duration) -> Self {
        self.options.lock_patience = patience;
        self
    }

    /// Bytes of the disk that a download leaves free; 16 MiB unless set.
    #[must_use]
    pub fn reserve(mut self, bytes: u64) -> Self {
        self.options.reserve = bytes;
        self
    }

    /// Whether snapshots link to blobs symbolically; `true` unless set.
    ///
    /// Without, and where such links fail, a file has two names; and where that fails too, a new one
    /// is moved into the snapshot.
    #[must_use]
    pub fn symlinks(mut self, symlinks: bool) -> Self {
        self.options.symlinks = symlinks;
        self
    }

    /// Whether a file lies on the disk, and not only in the operating system's memory, before it gets
    /// its final name; `true` unless set.
    ///
    /// Without, the end of a download comes sooner. A process that is killed does no harm in either
    /// case. But if the power fails within the next seconds, a file of the right size may hold wrong
    /// bytes, which [`Cache::verify`](crate::Cache::verify) finds and nobody notices before.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.options.durable = durable;
        self
    }

    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are heeded; `true` unless set.
    #[must_use]
    pub fn environment_proxies(mut self, heed: bool) -> Self {
        self.options.proxies = heed;
        self
    }

    /// The `User-Agent` of all requests.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.options.user_agent = agent.into();
        self
    }

    /// Checks the settings and makes the downloader.
    pub fn build(self) -> Result<Downloader, Error> {
        let invalid = |name, reason| Err(Error::InvalidOption { name, reason });
        let options = &self.options;
        if !(1..=64).contains(&options.files) {
            return invalid("files", "it has to be 1 to 64");
        }
        if !(1..=64).contains(&options.connections) {
            return invalid("connections", "it has to be 1 to 64");
        }
        if !(4 << 10..=1 << 30).contains(&options.part_size) {
            return invalid("part_size", "it has to be 4 KiB to 1 GiB");
        }
        if !(1..=100).contains(&options.attempts) {
            return invalid("attempts", "it has to be 1 to 100");
        }
        if options.first_delay > options.longest_delay {
            return invalid("delays", "the first must not be longer than the longest");
        }
        if [
            options.stall_timeout,
            options.connect_timeout,
            options.slow_window,
        ]
        .contains(&Duration::ZERO)
        {
            return invalid("timeouts", "they have to be longer than nothing");
        }
        Downloader::with_options(&self.cache, self.options)
    }
}

impl Options {
    /// How many bytes a connection gathers before it writes them and their record.
    ///
    /// All connections of one file together stay within half a part: each may hold as much again
    /// while it is being written, and what the operating system has received comes on top.
    pub(crate) fn flush_size(&self, connections: usize) -> usize {
        let share = self.part_size / (4 * connections.max(1) as u64);
        share.clamp(1 << 10, 2 << 20) as usize
    }
}
