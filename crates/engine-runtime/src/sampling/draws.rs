//! Random numbers by position: no state but the seed.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// What a number is drawn for: each has a key stream of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The choice of a token.
    Token,
    /// Whether XTC leaves out top choices.
    Xtc,
    /// Another choice, after so many have been turned down.
    Again(u32),
}

impl Purpose {
    fn stream(self) -> u64 {
        match self {
            Self::Token => 0,
            Self::Xtc => 1,
            Self::Again(before) => 2 + u64::from(before),
        }
    }
}

/// The random numbers of one seed.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    generator: ChaCha8Rng,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            generator: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The number of a step, in [0, 1), with 53 random bits.
    pub(super) fn at(&mut self, step: u64, purpose: Purpose) -> f64 {
        self.generator.set_stream(purpose.stream());
        // Two words of the key stream for each step.
        self.generator.set_word_pos(u128::from(step) * 2);
        (self.generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A seed that nobody chose.
pub(super) fn fresh_seed() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}
