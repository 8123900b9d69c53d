//! How long things take.

use std::{thread, time::Duration};

/// Real time that the mock lets pass. All zero by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// For a whole load, spread over its steps.
    pub(crate) load: Duration,
    /// For each token of a prompt.
    pub(crate) prompt_token: Duration,
    /// For each step that generates, however many generations take part in it.
    pub(crate) step: Duration,
}

impl Pace {
    /// Lets the time of one step pass. A run of several tokens is part of a prompt; a run of one
    /// is taken for a token of an answer.
    pub(crate) fn take_step(&self, run_lengths: impl Iterator<Item = usize>) {
        let mut prompt_tokens = 0u32;
        let mut generates = false;
        for length in run_lengths {
            if length > 1 {
                prompt_tokens = prompt_tokens.saturating_add(length as u32);
            } else {
                generates = true;
            }
        }
        let generating = if generates { self.step } else { Duration::ZERO };
        sleep(self.prompt_token.saturating_mul(prompt_tokens) + generating);
    }
}

/// Gives the processor away only if there is time to pass.
pub(crate) fn sleep(time: Duration) {
    if !time.is_zero() {
        thread::sleep(time);
    }
}
