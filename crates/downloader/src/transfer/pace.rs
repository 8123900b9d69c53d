//! Noticing a connection that is slow, though not silent.
//!
//! What a connection brings in a while is compared with what is usual for the file. One that brings
//! less than a tenth is given up, since another one may well be better: a server's own, or another
//! way through the network. Each time the expectation is halved, so that a network that has become
//! slow altogether is soon accepted as it is.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Below this share of what is usual a connection is slow.
const SLOW_SHARE: f64 = 0.1;
/// What is expected in bytes a second before anything has come: a tenth of it is hardly a connection.
const FIRST_EXPECTATION: f64 = 10_240.0;
/// How much a new rate changes what is usual.
const WEIGHT: f64 = 0.3;

/// What came in less time says little about a connection.
const SHORTEST_WHILE: Duration = Duration::from_millis(20);

/// What is usual for the connections of one file, in bytes a second.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<f64>);

impl Default for Pace {
    fn default() -> Self {
        Self(Mutex::new(FIRST_EXPECTATION))
    }
}

impl Pace {
    /// Takes note of what a connection brought; `true` if it is too slow to go on with.
    pub(crate) fn is_slow(&self, bytes_per_second: f64) -> bool {
        let mut usual = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_slow = bytes_per_second < SLOW_SHARE * *usual;
        *usual = if is_slow {
            *usual / 2.0
        } else {
            (1.0 - WEIGHT) * *usual + WEIGHT * bytes_per_second
        };
        is_slow
    }
}

/// Watches one connection.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    pace: &'a Pace,
    window: Duration,
    bytes: u64,
    waited: Duration,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(pace: &'a Pace, window: Duration) -> Self {
        Self {
            pace,
            window,
            bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// Says what came after how long a wait. If a window is over and too little came in it, this is
    /// how little, in bytes a second.
    pub(crate) fn came(&mut self, bytes: usize, waited: Duration) -> Option<u64> {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.waited < self.window {
            return None;
        }
        let rate = self.rate();
        (self.bytes, self.waited) = (0, Duration::ZERO);
        self.pace.is_slow(rate).then_some(rate as u64)
    }

    /// Says that the connection has brought all that it should, from which it is only to be learnt.
    pub(crate) fn end(&self) {
        if self.waited >= SHORTEST_WHILE {
            self.pace.is_slow(self.rate());
        }
    }

    fn rate(&self) -> f64 {
        self.bytes as f64 / self.waited.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_that_falls_far_behind_is_slow() {
        let pace = Pace::default();
        for _ in 0..20 {
            assert!(!pace.is_slow(1e6));
        }
        assert!(!pace.is_slow(3e5));
        assert!(pace.is_slow(1e4));
        assert!(!pace.is_slow(1e6));
    }

    #[test]
    fn a_trickle_is_slow_from_the_beginning() {
        assert!(Pace::default().is_slow(100.0));
        assert!(!Pace::default().is_slow(2_000.0));
    }

    proptest! {
        #[test]
        fn a_network_that_is_slow_altogether_is_soon_accepted(
            before in prop::collection::vec(1.0f64..1e10, 0..20),
            now in 1.0f64..1e10,
        ) {
            let pace = Pace::default();
            for rate in before {
                pace.is_slow(rate);
            }
            // From 10 GB/s to a byte a second it takes 31 halves to a tenth.
            let refused = (0..100).take_while(|_| pace.is_slow(now)).count();
            prop_assert!(refused <= 31, "{refused}");
            prop_assert!((0..100).all(|_| !pace.is_slow(now)));
        }
    }
}
