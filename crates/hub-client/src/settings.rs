//! How the client behaves on the wire.

use std::time::Duration;

use backon::ExponentialBuilder;
use secrecy::SecretString;

/// Which proxies requests go through.
///
/// Addresses of proxies may hold passwords, so `Debug` hides them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Proxies {
    /// Those of the operating system's settings and of the usual environment variables.
    #[default]
    System,
    /// None.
    Direct,
    /// These.
    Given {
        /// For `http` addresses.
        http: Option<SecretString>,
        /// For `https` addresses.
        https: Option<SecretString>,
        /// Hosts that are reached directly, as `NO_PROXY` lists them.
        except: Option<String>,
    },
}

/// How long to wait for what; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until a connection is made. Default 10 s.
    pub connect: Option<Duration>,
    /// Until something more arrives. Default 10 s.
    pub read: Option<Duration>,
    /// For the whole answer to a question about a file. Default 10 s.
    pub metadata: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let usual = Some(Duration::from_secs(10));
        Self {
            connect: usual,
            read: usual,
            metadata: usual,
        }
    }
}

impl Timeouts {
    /// None at all.
    pub const NONE: Self = Self {
        connect: None,
        read: None,
        metadata: None,
    };
}

/// When and how often a request is sent again.
///
/// Retried are connections that fail or break, timeouts, and the statuses 408, 429, 500, 502, 503
/// and 504. The pause doubles from `first_pause` up to `longest_pause`, with a random addition of
/// up to as much again. A server that asks for a longer pause gets it, up to `patience`; beyond
/// that the error comes at once and says how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts after the first. Default 5.
    pub retries: usize,
    /// Default 1 s.
    pub first_pause: Duration,
    /// Default 8 s.
    pub longest_pause: Duration,
    /// The longest pause that a server may ask for. Default 60 s.
    pub patience: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(8),
            patience: Duration::from_mins(1),
        }
    }
}

impl RetryPolicy {
    /// One attempt, and no pause either.
    pub const NEVER: Self = Self {
        retries: 0,
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
        patience: Duration::ZERO,
    };

    /// With this many attempts after the first.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// With another longest pause that a server may ask for.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn backoff(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.retries)
            .with_jitter()
    }
}
