//! How often and after which delays something is tried again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use crate::options::Options;

/// Doubling delays with random variation, until there were enough.
#[derive(Debug)]
pub(crate) struct Tries {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
}

impl Tries {
    pub(crate) fn new(options: &Options) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(options.first_delay)
            .with_max_delay(options.longest_delay)
            .with_factor(2.0)
            .with_jitter()
            .with_max_times(options.attempts.saturating_sub(1));
        Self {
            builder,
            delays: builder.build(),
        }
    }

    /// The time until the next try; `None` if there were enough.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        self.delays.next()
    }

    /// Counts anew, since something has moved.
    pub(crate) fn reset(&mut self) {
        self.delays = self.builder.build();
    }
}
