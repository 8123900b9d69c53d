//! Penalties for tokens that have been seen before.

use std::collections::HashMap;

use engine_core::{GenerateParams, TokenId};

/// Counts tokens and lowers, or raises, their logits.
#[derive(Debug)]
pub(super) struct Penalties {
    repetition: f32,
    presence: f32,
    frequency: f32,
    window: usize,
    /// Prompt and answer.
    history: Vec<TokenId>,
    prompt_len: usize,
    seen: HashMap<TokenId, Seen>,
}

/// How often a token lies in the windows.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// In the last tokens of prompt and answer.
    anywhere: u32,
    /// In the last tokens of the answer.
    generated: u32,
}

impl Penalties {
    pub(super) fn new(params: &GenerateParams, prompt: &[TokenId]) -> Self {
        let window = params
            .penalty_window
            .map_or(usize::MAX, |window| window as usize);
        let mut seen: HashMap<TokenId, Seen> = HashMap::new();
        for token in &prompt[prompt.len().saturating_sub(window)..] {
            seen.entry(*token).or_default().anywhere += 1;
        }
        Self {
            repetition: params.repetition_penalty,
            presence: params.presence_penalty,
            frequency: params.frequency_penalty,
            window,
            history: prompt.to_vec(),
            prompt_len: prompt.len(),
            seen,
        }
    }

    /// Adds a generated token; what falls out of a window is forgotten.
    pub(super) fn note(&mut self, token: TokenId) {
        self.history.push(token);
        let seen = self.seen.entry(token).or_default();
        seen.anywhere += 1;
        seen.generated += 1;
        let Some(left) = self
            .history
            .len()
            .checked_sub(self.window.saturating_add(1))
        else {
            return;
        };
        self.forget(left, |seen| &mut seen.anywhere);
        if left >= self.prompt_len {
            self.forget(left, |seen| &mut seen.generated);
        }
    }

    fn forget(&mut self, index: usize, count: impl Fn(&mut Seen) -> &mut u32) {
        let token = self.history[index];
        if let Some(seen) = self.seen.get_mut(&token) {
            *count(seen) -= 1;
            if seen.anywhere == 0 && seen.generated == 0 {
                self.seen.remove(&token);
            }
        }
    }

    /// Changes the logits of the tokens seen.
    pub(super) fn apply(&self, logits: &mut [f32]) {
        for (token, seen) in &self.seen {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = self.changed(f64::from(*logit), *seen) as f32;
            }
        }
    }

    /// The logit of a token, changed if it was seen.
    pub(super) fn of(&self, token: TokenId, logit: f64) -> f64 {
        match self.seen.get(&token) {
            Some(seen) => self.changed(logit, *seen),
            None => logit,
        }
    }

    /// Repetition, presence and frequency, in this order.
    ///
    /// A finite logit stays finite, so that a harsh setting is not taken for a failed model.
    fn changed(&self, logit: f64, seen: Seen) -> f64 {
        if !logit.is_finite() {
            return logit;
        }
        let mut value = logit;
        if seen.anywhere > 0 {
            if value > 0.0 {
                value /= f64::from(self.repetition);
            } else {
                value *= f64::from(self.repetition);
            }
        }
        if seen.generated > 0 {
            value -= f64::from(self.presence);
            value -= f64::from(self.frequency) * f64::from(seen.generated);
        }
        value.clamp(f64::from(f32::MIN), f64::from(f32::MAX))
    }
}
